import path from 'node:path';
import { describeList, mismatch, within } from '../errors';
import { arrayOf } from '../formats/dtypes';
import { readWholeFile } from '../formats/files';
import { isNpy, parseNpy } from '../formats/npy';
import { type GraphTensor, sizeOf } from '../graph/graph';
import { numbersOf, tensorOf } from '../graph/tensors';
import {
  type ByteImages,
  type InferenceSession,
  type Preprocessing,
  readImage,
  type Sides,
  type ValueMetadata,
} from '../index';
import { sidesOf } from '../model/image-layout';
import { plainPreprocessing } from '../preprocessing';
import { readDims, splitName } from './dims';
import { photoLayout, photoTensor } from './quantize-photos';
import type { RunFlags } from './run-command';
import { misuse } from './usage';

/** Files of plain numbers, little-endian. */
const rawEnding = /\.(raw|bin|f32)$/i;

const rawTypes = { float32: 'F32', uint8: 'U8', int8: 'I8', int32: 'I32', int64: 'I64', bool: 'BOOL' } as const;

/** Reads the files that the arguments name as inputs of the session. */
export async function readFeeds(
  session: InferenceSession,
  files: readonly string[],
  flags: RunFlags,
): Promise<Record<string, GraphTensor>> {
  const { inputNames, inputMetadata } = session;
  const named = files.map((text) => within('<input>', () => splitName(text, inputNames)));
  const missing = inputNames.filter((name) => named.filter((one) => one.name === name).length !== 1);
  if (missing.length > 0) {
    throw misuse(
      '<input>',
      `a file for each of ${describeList(inputNames)}`,
      describeList(named.map(({ name }) => name)),
    );
  }
  const dims = readDims(flags.dims, inputNames);
  const feeds = named.map(async ({ name, rest }) => {
    const input = inputMetadata.find((one) => one.name === name) as ValueMetadata;
    return [name, await readFeed(rest, input, dims[name], session, flags)] as const;
  });
  return Object.fromEntries(await Promise.all(feeds));
}

async function readFeed(
  file: string,
  input: ValueMetadata,
  dims: readonly number[] | undefined,
  session: InferenceSession,
  flags: RunFlags,
): Promise<GraphTensor> {
  const bytes = await readWholeFile(file);
  return within(path.basename(file), () => {
    if (isNpy(bytes)) return inType(parseNpy(bytes), input);
    return rawEnding.test(file) ? rawFeed(bytes, input, dims) : imageOf(bytes, input, session, flags);
  });
}

/** Plain numbers. */
function rawFeed(bytes: Uint8Array, input: ValueMetadata, dims: readonly number[] | undefined): GraphTensor {
  const all = dims ?? input.shape.map((dim, axis) => (typeof dim === 'string' && axis === 0 ? 1 : dim));
  if (all.some((dim) => typeof dim === 'string')) {
    throw misuse(`--dims for the input of dims [${input.shape.join(', ')}]`, 'none');
  }
  const elements = bytes.length % sizeOf([{ int64: 8, float32: 4, int32: 4 }[input.type as string] ?? 1]) === 0;
  const data = elements ? arrayOf(rawTypes[input.type], bytes) : undefined;
  if (data?.length === sizeOf(all as number[])) return { type: input.type, dims: all as number[], data } as GraphTensor;
  const expected = `${sizeOf(all as number[])} numbers of type ${input.type} for dims ${describeList(all)}`;
  throw mismatch('ERR_SHAPE', expected, `${bytes.length} bytes`);
}

/** The numbers in another type, where that changes none. */
function inType(tensor: GraphTensor, { type }: ValueMetadata): GraphTensor {
  if (tensor.type === type) return tensor;
  const result = tensorOf(type, tensor.dims, numbersOf(tensor));
  const [before, after] = [numbersOf(tensor), numbersOf(result)];
  if (Array.prototype.every.call(before, (value, i) => value === after[i])) return result;
  throw mismatch('ERR_DTYPE', `numbers of type ${type}`, `${tensor.type} with numbers that it cannot hold`);
}

/** An image file in the model's size; open sides are those of the flag, or else keep the image's proportions. */
async function imageOf(
  bytes: Uint8Array,
  input: ValueMetadata,
  session: InferenceSession,
  flags: RunFlags,
): Promise<GraphTensor> {
  const layout = photoLayout({ type: input.type, dims: input.shape });
  if (!layout) {
    const expected = `an array of NumPy, or a .raw file, for the input of dims [${input.shape.join(', ')}]`;
    throw mismatch('ERR_INVALID_ARG', expected, 'an image or another file');
  }
  const channels = layout.channels === 1 ? 1 : 3;
  const read = (size: Partial<Sides>) => readImage(bytes, { channels, ...size });
  const [height, width] = sidesOf(input.shape, layout).map((side, axis) => sideOf(side, axis, session, flags));
  const image = await (height === undefined || width === undefined
    ? read({})
        .then((own) => inProportion(own, height, width))
        .then(read)
    : read({ height, width }));
  const given = flags.mean && flags.std ? { mean: flags.mean, std: flags.std } : session.preprocessing;
  const { data, dims } = photoTensor(image, layout, scalingOf(given, layout.channels));
  return { type: layout.type, dims, data } as GraphTensor;
}

/** The side of images along an axis, where the model or a flag says it. */
function sideOf(side: number | string, axis: number, { inputSize }: InferenceSession, { size }: RunFlags) {
  if (typeof side === 'number') return side;
  const given = size ?? inputSize;
  return typeof given === 'number' ? given : given?.[axis];
}

function inProportion({ dims }: ByteImages, height: number | undefined, width: number | undefined): Sides {
  const [, rows, columns] = dims as [number, number, number];
  const scaled = (own: number, factor: number) => Math.max(1, Math.round(own * factor));
  return {
    height: height ?? scaled(rows, width === undefined ? 1 : width / columns),
    width: width ?? scaled(columns, height === undefined ? 1 : height / rows),
  };
}

function scalingOf(given: Preprocessing | undefined, channels: number): Preprocessing {
  if (!given) return plainPreprocessing(channels);
  if (given.mean.length === channels && given.std.length === channels && !given.std.includes(0)) return given;
  throw misuse(`--mean and --std with ${channels} numbers each, those of --std not 0`, 'other numbers');
}
