import { boundary, mismatch } from '../errors';
import { type ByteImages, type Sides, transformImage } from '../index';
import { integer, parseOptions } from '../options';
import { signalField } from '../runtime/abort';
import { maxSide } from './resize';

/** Options of {@link centerCrop}. */
export interface CropOptions extends Sides {
  /** Rejects with ERR_ABORTED. */
  readonly signal?: AbortSignal;
}

const fields = { height: integer(1, maxSide), width: integer(1, maxSide), signal: signalField };

/**
 * The middle of an image, as torchvision's `CenterCrop`: half of each margin is cut off, rounded to even.
 *
 * @throws {QARepVGGError} (rejects) ERR_SHAPE for an image that is smaller; ERR_INVALID_ARG naming the option; ERR_ABORTED.
 *
 * @example
 * const middle = await centerCrop(image, { height: 224, width: 224 });
 */
export async function centerCrop(image: ByteImages, options: CropOptions): Promise<ByteImages> {
  return boundary('centerCrop', async () => {
    const { signal, ...size } = parseOptions(fields, options);
    const cut = ({ height, width }: Sides) => {
      if (height >= size.height && width >= size.width) return { canvas: size, ...centered({ height, width }, size) };
      const expected = `an image of at least ${size.width} x ${size.height} pixels`;
      throw mismatch('ERR_SHAPE', expected, `one of ${width} x ${height}`);
    };
    return transformImage(image, cut, signal);
  });
}

/** Where the upper left corner of an image lies on a canvas that shows its middle. */
export function centered(image: Sides, canvas: Sides): { top: number; left: number } {
  return { top: -half(image.height - canvas.height), left: -half(image.width - canvas.width) };
}

/** As Python's `round(margin / 2)`. */
function half(margin: number): number {
  const low = Math.floor(margin / 2);
  return margin % 2 === 0 ? low : low + (low % 2);
}

/**
 * The smallest size of an image that covers `height` and `width`: as torchvision's `Resize` for a square, which scales the
 * shorter side and rounds the longer one down.
 */
export function coveringSize(image: Sides, { height, width }: Sides): { height: number; width: number } {
  // Multiply first, as torchvision does: quotients would round differently.
  return image.width * height <= image.height * width
    ? { width, height: Math.max(height, Math.trunc((width * image.height) / image.width)) }
    : { height, width: Math.max(width, Math.trunc((height * image.width) / image.height)) };
}
