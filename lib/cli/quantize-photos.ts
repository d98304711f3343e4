import { mismatch, quote, within } from '../errors';
import type { Value } from '../graph/graph';
import { type InputSize, sizeOf } from '../image-size';
import { type ByteImages, type Model, type Preprocessing, QARepVGGError, readImage, type Tensor } from '../index';
import { type ImageLayout, imageLayout, sidesOf } from '../model/image-layout';
import { preprocess, readPreprocessing } from '../preprocessing';
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

/** How an input of bytes or floats holds images. */
export interface PhotoLayout extends ImageLayout {
  readonly type: 'float32' | 'uint8';
}

/** An image as an input takes it. */
export type PhotoTensor = Tensor | ByteImages;

/** How photographs go into a model. */
export interface PhotoInput extends PhotoLayout {
  readonly size: Sides;
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
  const layout = input && photoLayout(input);
  if (!layout || others.length > 0) {
    const expected =
      'a model with one input of images, float32 or uint8, [n, 3, h, w] or [n, h, w, 3], or of 1 or 4 channels';
    const received = inputs.map(({ name, type, dims }) => `${quote(name)} ${type} [${dims.join(', ')}]`);
    throw mismatch('ERR_MODEL_INCOMPATIBLE', expected, received.join(', '));
  }
  const { channels } = layout;
  const open = sizeOf(flags.size ?? openSide);
  const [height, width] = sidesOf(input.dims, layout).map((side, i) => (typeof side === 'number' ? side : open[i])) as [
    number,
    number,
  ];
  const shapes = outputs.map(({ dims }) => dims.map((dim, axis) => (axis === 0 ? 1 : dim)) as number[]);
  const decoder = shapes.every((dims) => dims.every(Number.isInteger)) ? recognizeDecoder(shapes) : undefined;
  const [mean, std] = (decoder?.scaling ?? [0, 1]).map((value) => Array<number>(channels).fill(value));
  const given = flags.mean || flags.std ? { mean: flags.mean ?? mean, std: flags.std ?? std } : preprocessing;
  const isClassifier = !decoder && outputs[0]?.dims.length === 2;
  return {
    size: { height, width },
    ...layout,
    preprocessing: within('--mean and --std', () => readPreprocessing(given ?? { mean, std }, channels)),
    fill: isClassifier ? undefined : (decoder?.fill ?? 114),
  };
}

/** The layout of an input that takes image files: of 1, 3, or 4 channels. */
export function photoLayout({ type, dims }: Pick<Value, 'type' | 'dims'>): PhotoLayout | undefined {
  if (type !== 'float32' && type !== 'uint8') return undefined;
  const layout = imageLayout({ dims }, [1, 3, 4]);
  return layout && { ...layout, type };
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
): AsyncGenerator<PhotoTensor> {
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
    yield photoTensor(await fitted(image, input), input, input.preprocessing);
  }
}

function fitted(image: ByteImages, { size, fill, preprocessing }: PhotoInput): Promise<ByteImages> {
  return transformImage(image, (own) =>
    fill === undefined ? coverAndCut(own, size, preprocessing.crop) : { ...fitInto(own, size).transform, fill },
  );
}

/** An image as an input takes it. A fourth channel is opaque. */
export function photoTensor(
  image: ByteImages,
  { channels, isLast, type }: PhotoLayout,
  preprocessing: Preprocessing,
): PhotoTensor {
  const { data, dims } = channels === 4 ? withAlpha(image) : image;
  const scaling = type === 'uint8' ? unchanged(channels) : preprocessing;
  const floats = preprocess(data, dims, scaling, isLast);
  return type === 'uint8' ? { data: Uint8Array.from(floats.data), dims: floats.dims } : floats;
}

/** What leaves bytes as they are. */
function unchanged(channels: number): Preprocessing {
  return { mean: Array(channels).fill(0), std: Array(channels).fill(1 / 255) };
}

function withAlpha({ data, dims }: ByteImages): ByteImages {
  const bytes = new Uint8Array((data.length / 3) * 4).fill(255);
  for (let i = 0; 3 * i < data.length; i++) bytes.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  return { data: bytes, dims: [...dims.slice(0, 3), 4] };
}
