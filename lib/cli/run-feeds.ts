import path from 'node:path';
import { describeList, mismatch, within } from '../errors';
import { arrayOf } from '../formats/dtypes';
import { readWholeFile } from '../formats/files';
import { isNpy, parseNpy } from '../formats/npy';
import { type DataType, type GraphTensor, sizeOf } from '../graph/graph';
import { numbersOf, tensorOf } from '../graph/tensors';
import type { Size } from '../image-size';
import { type InferenceSession, type Preprocessing, readImage, type ValueMetadata } from '../index';
import { readDims, splitName } from './dims';
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
    throw misuse('<input>', `a file for each of ${describeList(inputNames)}`, describeList(files));
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

/** The position and number of an image's channels. */
interface Layout {
  readonly channels: 1 | 3 | 4;
  readonly isLast: boolean;
}

function layoutOf({ shape, type }: ValueMetadata): Layout | undefined {
  const isCount = (dim: unknown): dim is Layout['channels'] => dim === 1 || dim === 3 || dim === 4;
  if (shape.length !== 4 || (type !== 'float32' && type !== 'uint8')) return undefined;
  if (isCount(shape[1])) return { channels: shape[1], isLast: false };
  return isCount(shape[3]) ? { channels: shape[3], isLast: true } : undefined;
}

/** An image file in the model's size, or in its own where the model's is open. A fourth channel is opaque. */
async function imageOf(
  bytes: Uint8Array,
  input: ValueMetadata,
  session: InferenceSession,
  flags: RunFlags,
): Promise<GraphTensor> {
  const layout = layoutOf(input);
  if (!layout) {
    const expected = `an array of NumPy, or a .raw file, for the input of dims [${input.shape.join(', ')}]`;
    throw mismatch('ERR_INVALID_ARG', expected, 'an image or another file');
  }
  const { channels, isLast } = layout;
  const axes = input.shape.slice(isLast ? 1 : 2, isLast ? 3 : 4);
  const own = axes.every((dim) => typeof dim === 'number') ? (axes as unknown as Size) : undefined;
  const size = own ?? (flags.size as Size | undefined) ?? (session.inputSize as Size | undefined);
  const [height, width] = typeof size === 'number' ? [size, size] : (size ?? []);
  const { data, dims } = await readImage(bytes, {
    channels: channels === 1 ? 1 : 3,
    ...(height !== undefined && width !== undefined && { height, width }),
  });
  const [, rows = 0, columns = 0, read = 0] = dims;
  const given = flags.mean && flags.std ? { mean: flags.mean, std: flags.std } : session.preprocessing;
  const scaling = scalingOf(given, channels);
  const area = rows * columns;
  const values = new Float32Array(area * channels);
  for (let channel = 0; channel < channels; channel++) {
    const [mean, std] = [scaling.mean[channel] as number, scaling.std[channel] as number];
    for (let i = 0; i < area; i++) {
      const byte = channel < read ? (data[i * read + channel] as number) : 255;
      values[isLast ? i * channels + channel : channel * area + i] =
        input.type === 'uint8' ? byte : (byte / 255 - mean) / std;
    }
  }
  const type: DataType = input.type;
  return tensorOf(type, isLast ? [1, rows, columns, channels] : [1, channels, rows, columns], values);
}

function scalingOf(given: Preprocessing | undefined, channels: number): Preprocessing {
  if (!given) return { mean: Array(channels).fill(0), std: Array(channels).fill(1) };
  if (given.mean.length === channels && given.std.length === channels && !given.std.includes(0)) return given;
  throw misuse(`--mean and --std with ${channels} numbers each, those of --std not 0`, 'other numbers');
}
