import { mismatch } from '../errors';
import { type ByteImages, type ImageTransform, type ResizeFilter, type Sides, transformImage } from '../index';
import { centered, coveringSize } from './crop';

/** Networks for smaller images are trained on whole images; ImageNet's on 224 pixels out of 256. */
const smallestCropped = 128;
const imageNetCrop = 0.875;
/** Keeps a long and thin image from becoming a huge one. */
const maxRatio = 64;

/** The part of an image that a network of this size uses, as a share of its shorter side. */
function defaultCrop({ height, width }: Sides): number {
  return Math.min(height, width) < smallestCropped ? 1 : imageNetCrop;
}

/** What {@link prepareImage} takes beside the size. */
export interface PrepareOptions {
  readonly crop?: number | undefined;
  readonly filter?: ResizeFilter;
  readonly signal?: AbortSignal;
}

/**
 * An image in the size that a network takes, by the recipe of ImageNet: scaled so that its shorter side is
 * `size / crop`, then cut in the middle. Off the JavaScript thread.
 *
 * @throws {QARepVGGError} (rejects) ERR_SHAPE for an image 64 times as long as wide; ERR_ABORTED
 */
export async function prepareImage(
  image: ByteImages,
  size: Sides,
  { crop, filter, signal }: PrepareOptions = {},
): Promise<ByteImages> {
  return transformImage(image, (own) => ({ ...coverAndCut(own, size, crop), ...(filter && { filter }) }), signal);
}

/** The transform of {@link prepareImage}. @throws {QARepVGGError} ERR_SHAPE */
export function coverAndCut({ height, width }: Sides, size: Sides, crop = defaultCrop(size)): ImageTransform {
  if (Math.max(height / width, width / height) > maxRatio) {
    const expected = `an image at most ${maxRatio} times as long as wide`;
    throw mismatch('ERR_SHAPE', expected, `one of ${width} x ${height}`);
  }
  const side = (length: number): number => Math.round(length / crop);
  const scaled = coveringSize({ height, width }, { height: side(size.height), width: side(size.width) });
  return { scaled, canvas: size, ...centered(scaled, size) };
}
