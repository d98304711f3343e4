import { describeList, mismatch, quote } from '../errors';
import { type ByteImages, type InferenceSession, type Preprocessing, readImage, type Sides } from '../index';
import { imageLayout, sidesOf } from '../model/image-layout';
import { checkOption, wrongOption } from '../options';
import { readPreprocessing } from '../preprocessing';
import type { FloatLayout } from './transform';

/** An image: the path of a file, its bytes, or pixels as `readImage` returns them. */
export type ImageSource = string | Uint8Array | ArrayBuffer | ByteImages;

/** The one input of a network for images. */
export interface ImageInput {
  readonly name: string;
  readonly size: Sides;
  readonly channels: 1 | 3;
  /** How bytes become its numbers; nothing where the session computes with bytes, a quarter of the memory to copy. */
  readonly floats: FloatLayout | undefined;
}

/** What the caller decides about the input. */
export interface InputChoice {
  /** [height, width] for a network whose size is open. */
  readonly size: readonly [height: number, width: number] | undefined;
  readonly preprocessing: unknown;
}

/** What applies where neither the caller nor the model decides. */
export interface InputDefaults {
  /** Side of images for a network whose size is open. */
  readonly side: number;
  /** Mean and deviation of each channel. */
  readonly scaling: readonly [mean: number, std: number];
}

/**
 * How images go into a session.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a model without one input of images; ERR_INVALID_ARG naming the option.
 */
export function imageInputOf(
  session: InferenceSession,
  { size, preprocessing }: InputChoice,
  { side, scaling }: InputDefaults,
): ImageInput {
  const [input, ...others] = session.inputMetadata;
  const layout = input && imageLayout({ dims: input.shape }, [1, 3]);
  if (!layout || others.length > 0 || input.type !== 'float32') {
    const expected = 'a model with one input of images, float32 [n, 3, h, w] or [n, h, w, 3], or of one channel';
    const received = session.inputMetadata.map(
      (value) => `${quote(value.name)} ${value.type} [${value.shape.join(', ')}]`,
    );
    throw mismatch('ERR_MODEL_INCOMPATIBLE', expected, received.join(', '));
  }
  const { channels, isLast } = layout;
  const open = size ?? session.inputSize ?? [side, side];
  const [height, width] = sidesOf(input.shape, layout).map((length, i) =>
    typeof length === 'number' ? length : open[i],
  ) as [number, number];
  if (size && (size[0] !== height || size[1] !== width)) {
    throw wrongOption('inputSize', `[${height}, ${width}], as the model says`, describeList(size));
  }
  const stated = session.assumesPreprocessing ? undefined : session.preprocessing;
  const [mean, std] = scaling.map((value) => Array<number>(channels).fill(value)) as [number[], number[]];
  const wanted = preprocessing ?? stated ?? { mean, std };
  const chosen = checkOption('preprocessing', () => readPreprocessing(wanted, channels));
  const takesBytes = session.takesBytes && session.preprocessing && isSameScaling(chosen, session.preprocessing);
  return {
    name: input.name,
    size: { height, width },
    channels,
    floats: takesBytes ? undefined : { layout: isLast ? 'pixels' : 'planes', table: tableOf(chosen) },
  };
}

function isSameScaling(a: Preprocessing, b: Preprocessing): boolean {
  return a.mean.every((value, i) => value === b.mean[i]) && a.std.every((value, i) => value === b.std[i]);
}

/** The number for each byte. */
function tableOf({ mean, std }: Preprocessing): Float32Array {
  const table = new Float32Array(256 * mean.length);
  mean.forEach((low, channel) => {
    for (let byte = 0; byte < 256; byte++) table[256 * channel + byte] = (byte / 255 - low) / (std[channel] as number);
  });
  return table;
}

/** What {@link readPixels} takes. */
export interface PixelOptions {
  readonly channels: 1 | 3;
  readonly maxPixels: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** The pixels of an image from anywhere. @throws {QARepVGGError} the errors of `readImage`; ERR_SHAPE for pixels of other channels. */
export async function readPixels(image: ImageSource, options: PixelOptions): Promise<ByteImages> {
  if (!isPixels(image)) {
    const { channels, maxPixels, signal } = options;
    return readImage(image, { channels, ...(maxPixels !== undefined && { maxPixels }), ...(signal && { signal }) });
  }
  const dims = Array.isArray(image.dims) ? (image.dims as readonly number[]) : [];
  if (dims.at(-1) === options.channels) return image;
  const expected = `pixels of ${options.channels} channels, dims [1, height, width, ${options.channels}]`;
  throw mismatch('ERR_SHAPE', 'image', expected, `dims ${describeList(dims)}`);
}

function isPixels(image: ImageSource): image is ByteImages {
  return typeof image === 'object' && image !== null && 'dims' in image;
}
