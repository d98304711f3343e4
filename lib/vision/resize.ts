import { boundary } from '../errors';
import { type ByteImages, type ResizeFilter, transformImage } from '../index';
import { integer, oneOf, parseOptions } from '../options';
import { signalField } from '../runtime/abort';

/** Options of {@link resize}. */
export interface ResizeOptions {
  /** Pixels. */
  readonly height: number;
  readonly width: number;
  /** @default 'bilinear' */
  readonly filter?: ResizeFilter;
  /** Rejects with ERR_ABORTED. */
  readonly signal?: AbortSignal;
}

/** The longest side to scale to. */
export const maxSide = 65_535;

export const filterField = oneOf(['nearest', 'bilinear', 'bicubic'], 'bilinear');

const fields = {
  height: integer(1, maxSide),
  width: integer(1, maxSide),
  filter: filterField,
  signal: signalField,
};

/**
 * Scales an image as Pillow's `resize` does, to the byte, off the JavaScript thread. With `bilinear` and `bicubic` a pixel is a
 * weighted mean of all the pixels that it covers (antialiasing). torchvision's `Resize` on a Pillow image is the same.
 *
 * @param image Bytes of dims [1, height, width, channels], as `readImage` returns them, or [height, width, channels].
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG naming the option; ERR_SHAPE, ERR_DTYPE, ERR_BUFFER_* for the image;
 * ERR_LIMIT, ERR_ABORTED, ERR_OUT_OF_MEMORY.
 *
 * @example
 * const small = await resize(await readImage('cat.jpg'), { height: 256, width: 256, filter: 'bicubic' });
 */
export async function resize(image: ByteImages, options: ResizeOptions): Promise<ByteImages> {
  return boundary('resize', () => {
    const { height, width, filter, signal } = parseOptions(fields, options);
    return transformImage(image, { scaled: { height, width }, filter }, signal);
  });
}
