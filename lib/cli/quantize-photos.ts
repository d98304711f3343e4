import { mismatch, quote, within } from '../errors';
import type { Dim } from '../graph/graph';
import { type InputSize, sizeOf } from '../image-size';
import { type ByteImages, type Model, type Preprocessing, QARepVGGError, readImage, type Tensor } from '../index';
import { readPreprocessing } from '../preprocessing';
import { recognizeDecoder } from '../vision/decoders';
import { fitInto } from '../vision/letterbox';
import { coverAndCut } from '../vision/prepare';
import { type Sides, transformImage } from '../vision/transform';

/** Side of images for a network that leaves it open. */
const openSide = 640;

/** The flags about images. */
export interface PhotoFlags {
  readonly size?: InputSize;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

/** How photographs go into a model. */
export interface PhotoInput {
  readonly size: Sides;
  readonly channels: 1 | 3 | 4;
  /** Whether the layout is [n, h, w, c] rather than [n, c, h, w]. */
  readonly isLast: boolean;
  readonly preprocessing: Preprocessing;
  /** The byte for the margins of a letterbox; undefined where the image is cropped instead, as classifiers see it. */
  readonly fill: number | undefined;
}

/**
 * How a model takes photographs: in its own size, else the flag's, else 640. A classifier (an output [n, classes]) sees the
 * middle of each, any other network the whole.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a model without one input of images; ERR_INVALID_ARG
 */
export function photoInputOf({ inputs, outputs, preprocessing }: Model, flags: PhotoFlags): PhotoInput {
  const [input, ...others] = inputs;
  const [, first, second, last] = input?.dims ?? [];
  const isLast = !isChannels(first);
  const channels = isLast ? last : first;
  if (!input || others.length > 0 || input.type !== 'float32' || input.dims.length !== 4 || !isChannels(channels)) {
    const expected = 'a model with one input of images, float32 [n, 3, h, w] or [n, h, w, 3], or of 1 or 4 channels';
    const received = inputs.map(({ name, type, dims }) => `${quote(name)} ${type} [${dims.join(', ')}]`);
    throw mismatch('ERR_MODEL_INCOMPATIBLE', expected, received.join(', '));
  }
  const own = isLast ? [first, second] : [second, last];
  const open = sizeOf(flags.size ?? openSide);
  const [height, width] = own.map((side, i) => (typeof side === 'number' ? side : open[i])) as [number, number];
  const shapes = outputs.map(({ dims }) => dims.map((dim, axis) => (axis === 0 ? 1 : dim)) as number[]);
  const decoder = shapes.every((dims) => dims.every(Number.isInteger)) ? recognizeDecoder(shapes) : undefined;
  const [mean, std] = (decoder?.scaling ?? [0, 1]).map((value) => Array<number>(channels).fill(value));
  const given = flags.mean || flags.std ? { mean: flags.mean ?? mean, std: flags.std ?? std } : preprocessing;
  const isClassifier = !decoder && outputs[0]?.dims.length === 2;
  return {
    size: { height, width },
    ...{ channels, isLast },
    preprocessing: within('--mean and --std', () => readPreprocessing(given ?? { mean, std }, channels)),
    fill: isClassifier ? undefined : (decoder?.fill ?? 114),
  };
}

function isChannels(dim: Dim | undefined): dim is 1 | 3 | 4 {
  return dim === 1 || dim === 3 || dim === 4;
}

/**
 * Photographs as a model takes them, one after another.
 *
 * @param onUnreadable Called for a file that cannot be read, which is then skipped; without it such a file ends the work.
 */
export async function* photoTensors(
  paths: readonly string[],
  input: PhotoInput,
  onUnreadable?: (path: string, error: QARepVGGError) => void,
): AsyncGenerator<Tensor> {
  for (const path of paths) {
    let image: ByteImages;
    try {
      image = await readImage(path, { channels: input.channels === 1 ? 1 : 3 });
    } catch (error) {
      const isUnreadable =
        error instanceof QARepVGGError && (error.code === 'ERR_INVALID_ARG' || error.code === 'ERR_LIMIT');
      if (!isUnreadable || !onUnreadable) throw error;
      onUnreadable(path, error);
      continue;
    }
    yield toTensor(await fitted(image, input), input);
  }
}

function fitted(image: ByteImages, { size, fill, preprocessing }: PhotoInput): Promise<ByteImages> {
  return transformImage(image, (own) =>
    fill === undefined ? coverAndCut(own, size, preprocessing.crop) : { ...fitInto(own, size).transform, fill },
  );
}

/** A fourth channel is opaque. */
function toTensor({ data }: ByteImages, { size, channels, isLast, preprocessing }: PhotoInput): Tensor {
  const area = size.height * size.width;
  const read = data.length / area;
  const numbers = new Float32Array(area * channels);
  for (let channel = 0; channel < channels; channel++) {
    const [mean, std] = [preprocessing.mean[channel] as number, preprocessing.std[channel] as number];
    for (let i = 0; i < area; i++) {
      const byte = channel < read ? (data[i * read + channel] as number) : 255;
      numbers[isLast ? i * channels + channel : channel * area + i] = (byte / 255 - mean) / std;
    }
  }
  const sides = [size.height, size.width];
  return { data: numbers, dims: isLast ? [1, ...sides, channels] : [1, channels, ...sides] };
}
