import type { ImageTransform as NativeTransform } from '../../binding';
import { addon } from '../binding';
import { boundary, mismatch } from '../errors';
import { throwIfAborted, untilAborted } from '../runtime/abort';
import type { ByteImages } from '../runtime/images';
import { readByteImage } from './byte-image';

/** Height and width in pixels. */
export interface Sides {
  readonly height: number;
  readonly width: number;
}

/** Filters of Pillow, by its names. */
export type ResizeFilter = 'nearest' | 'bilinear' | 'bicubic';

/** How an image is transformed: it is scaled, then placed on a canvas. */
export interface ImageTransform {
  /** Size to scale to. @default that of the image */
  readonly scaled?: Sides;
  /** Size of the result. @default that of the scaled image */
  readonly canvas?: Sides;
  /**
   * Pixel of the canvas that the upper left corner of the scaled image covers; outside of the canvas, the image is cut.
   * @default 0
   */
  readonly top?: number;
  readonly left?: number;
  /** A byte for pixels of the canvas that the image does not cover. @default 0 */
  readonly fill?: number;
  /** @default 'bilinear' */
  readonly filter?: ResizeFilter;
}

/** Floats for a network: the number for each byte, [channels, 256], and their order. */
export interface FloatLayout {
  readonly layout: 'planes' | 'pixels';
  readonly table: Float32Array;
}

/** The most bytes of a canvas. */
const maxBytes = 2 ** 31 - 1;

/**
 * Scales an image as Pillow's `resize` does, to the byte, and places it on a canvas, off the JavaScript thread. `resize`,
 * `centerCrop` and `letterbox` of `qarepvgg/vision` use it. The bytes are copied before the promise is returned.
 *
 * @param image One image of bytes, dims [1, h, w, c] or [h, w, c].
 * @param transform May be a function of the image's size.
 * @throws {QARepVGGError} (rejects) ERR_SHAPE for dims and sizes; ERR_LIMIT for a result above 2 GiB; ERR_ABORTED,
 * ERR_OUT_OF_MEMORY.
 */
export async function transformImage(
  image: ByteImages,
  transform: ImageTransform | ((size: Sides) => ImageTransform),
  signal?: AbortSignal,
): Promise<ByteImages>;
/** @param floats Asks for floats, [1, c, h, w] where the layout is `planes`, or [1, h, w, c]. */
export async function transformImage(
  image: ByteImages,
  transform: ImageTransform | ((size: Sides) => ImageTransform),
  signal: AbortSignal | undefined,
  floats: FloatLayout,
): Promise<{ readonly data: Float32Array; readonly dims: number[] }>;
export async function transformImage(
  image: ByteImages,
  transform: ImageTransform | ((size: Sides) => ImageTransform),
  signal?: AbortSignal,
  floats?: FloatLayout,
): Promise<{ readonly data: Uint8Array | Float32Array; readonly dims: readonly number[] }> {
  const own = boundary('transformImage', () => {
    throwIfAborted(signal);
    return readByteImage(image);
  });
  const [, height, width] = own.dims as [number, number, number];
  const wanted = typeof transform === 'function' ? transform({ height, width }) : transform;
  return boundary('transformImage', () => transformBytes(own, wanted, signal, floats));
}

async function transformBytes(
  { data, dims }: ByteImages,
  wanted: ImageTransform,
  signal: AbortSignal | undefined,
  floats: FloatLayout | undefined,
): Promise<{ readonly data: Uint8Array | Float32Array; readonly dims: readonly number[] }> {
  const [, height, width, channels] = dims as [number, number, number, number];
  const { scaled, canvas, top = 0, left = 0, fill = 0, filter = 'bilinear' } = wanted;
  const size = scaled ?? { height, width };
  const room = canvas ?? size;
  const bytes = room.height * room.width * channels * (floats ? Float32Array.BYTES_PER_ELEMENT : 1);
  if (bytes > maxBytes || size.height * size.width * channels > maxBytes) {
    throw mismatch('ERR_LIMIT', `an image of at most ${maxBytes} bytes`, `one of ${bytes}`);
  }
  const native: NativeTransform = {
    height,
    width,
    channels,
    top,
    left,
    fill,
    filter,
    scaledHeight: size.height,
    scaledWidth: size.width,
    canvasHeight: room.height,
    canvasWidth: room.width,
    layout: floats?.layout ?? 'bytes',
    ...(floats && { table: floats.table }),
  };
  const work = addon.transformImage(data, native);
  const result = await untilAborted(work, signal);
  const order = floats?.layout === 'planes' ? [channels, room.height, room.width] : [room.height, room.width, channels];
  return { data: result, dims: [1, ...order] };
}
