import { boundary } from '../errors';
import { type ByteImages, type ImageTransform, type Sides, transformImage } from '../index';
import { integer, parseOptions } from '../options';
import { signalField } from '../runtime/abort';
import { filterField, maxSide, type ResizeOptions } from './resize';

/** Options of {@link letterbox}. */
export interface LetterboxOptions extends ResizeOptions {
  /** A byte for the margins. @default 114 */
  readonly fill?: number;
}

/** How the pixels of an image lie on the canvas of a network: x * scaleX + left, y * scaleY + top. */
export interface Placement {
  readonly scaleX: number;
  readonly scaleY: number;
  readonly top: number;
  readonly left: number;
}

/** An image on a canvas. */
export interface Letterboxed extends Placement {
  readonly image: ByteImages;
}

const fields = {
  height: integer(1, maxSide),
  width: integer(1, maxSide),
  fill: integer(0, 255, 114),
  filter: filterField,
  signal: signalField,
};

/**
 * Scales an image to fit into a canvas, keeps its proportions and centres it between margins, as YOLO networks expect it.
 *
 * @returns The canvas, and where a pixel (x, y) of the image lies on it: (x * scaleX + left, y * scaleY + top).
 * @throws {QARepVGGError} (rejects) the errors of `resize`
 *
 * @example
 * const { image, scaleX, left } = await letterbox(await readImage('street.jpg'), { height: 640, width: 640 });
 */
export async function letterbox(image: ByteImages, options: LetterboxOptions): Promise<Letterboxed> {
  return boundary('letterbox', async () => {
    const { fill, filter, signal, ...size } = parseOptions(fields, options);
    let placement: Placement = { scaleX: 1, scaleY: 1, top: 0, left: 0 };
    const fit = (image: Sides) => {
      const fitted = fitInto(image, size);
      placement = fitted.placement;
      return { ...fitted.transform, fill, filter };
    };
    return { image: await transformImage(image, fit, signal), ...placement };
  });
}

/** The transform of {@link letterbox}. */
export function fitInto(
  image: Sides,
  canvas: Sides,
): { readonly transform: Pick<ImageTransform, 'scaled' | 'canvas' | 'top' | 'left'>; readonly placement: Placement } {
  const ratio = Math.min(canvas.height / image.height, canvas.width / image.width);
  const scaled = {
    height: Math.min(canvas.height, Math.max(1, Math.round(image.height * ratio))),
    width: Math.min(canvas.width, Math.max(1, Math.round(image.width * ratio))),
  };
  const [top, left] = [(canvas.height - scaled.height) >> 1, (canvas.width - scaled.width) >> 1];
  const placement = { scaleX: scaled.width / image.width, scaleY: scaled.height / image.height, top, left };
  return { transform: { scaled, canvas, top, left }, placement };
}
