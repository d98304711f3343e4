import { types } from 'node:util';
import type { GraphArray } from '../../binding';
import { didYouMean } from '../did-you-mean';
import { describe, describeList, mismatch, quote, within } from '../errors';
import type { DataType, Value } from '../graph/graph';
import type { InputDims } from '../graph/specialize';
import { imageDims, imageLayout } from '../model/image-layout';
import { checkInputDims } from '../model/input-dims';
import { readForeign } from '../options';
import { type Preprocessing, preprocess } from '../preprocessing';
import { checkBytes, checkElements, readTensor } from '../tensor';

/** A feed of a run, read once. */
export interface ReadFeed {
  readonly input: Value;
  readonly data: unknown;
  readonly dims: unknown;
}

/** A feed that has been checked. */
export interface Feed {
  readonly data: GraphArray;
  /** Of a feed of bytes for an input of floats. */
  readonly pixels?: Pixels;
}

/** Images in bytes. */
interface Pixels {
  /** [n, h, w, c] */
  readonly dims: readonly number[];
  /** Whether the input has its channels last, too. */
  readonly isLast: boolean;
}

/** Checked feeds, in the order of the graph's inputs. */
export interface GraphFeeds {
  readonly feeds: readonly Feed[];
  /** Dims by name; bytes have the dims of the floats that they become. */
  readonly dims: InputDims;
}

/** Reads the feeds, which may run the caller's code. @throws {QARepVGGError} ERR_INVALID_ARG unless the names are the inputs'. */
export function readFeeds(feeds: unknown, inputs: readonly Value[]): ReadFeed[] {
  const names = inputs.map(({ name }) => name);
  if (typeof feeds !== 'object' || feeds === null) {
    throw mismatch('ERR_INVALID_ARG', `an object { ${names.join(', ')} }`, describe(feeds));
  }
  const entries = new Map(readForeign(() => Object.entries(feeds)));
  const odd = [...entries.keys()].filter((name) => !names.includes(name));
  const missing = names.filter((name) => entries.get(name) === undefined);
  if (odd.length > 0 || missing.length > 0) {
    const received = odd.length > 0 ? describeList(odd) + didYouMean(odd[0], missing) : `no ${describeList(missing)}`;
    throw mismatch('ERR_INVALID_ARG', `tensors under the names ${describeList(names)}`, received);
  }
  return inputs.map((input) => ({
    input,
    ...within(quote(input.name), () => readTensor(entries.get(input.name))),
  }));
}

/**
 * Checks the feeds, which runs none of the caller's code.
 *
 * @param preprocessing Turns bytes into floats where an input of images gets bytes.
 * @throws {QARepVGGError} ERR_SHAPE, ERR_DTYPE, ERR_SIZE_OVERFLOW, ERR_BUFFER_*
 */
export function checkFeeds(feeds: readonly ReadFeed[], preprocessing: Preprocessing | undefined): GraphFeeds {
  const checked = feeds.map(({ input, data, dims }) => {
    const tensor = within(quote(input.name), () => {
      const isBytes = preprocessing && input.type === 'float32' && types.isUint8Array(data);
      if (isBytes) return pixels(data, dims, preprocessing.mean.length, input);
      return checkElements(data, dims, classes[input.type], input.dims.includes(0) ? 0 : 1);
    });
    checkInputDims(input, tensor.dims);
    return tensor;
  });
  const named = checked.map(({ dims }, i) => [feeds[i]?.input.name as string, dims] as const);
  return { feeds: checked as readonly Feed[], dims: new Map(named) };
}

/** A feed as the graph takes it. @param preprocessing The one that the feed was checked with. */
export function numbersOf({ data, pixels }: Feed, preprocessing: Preprocessing | undefined): GraphArray {
  if (!pixels || !preprocessing) return data;
  return preprocess(data as Uint8Array, pixels.dims, preprocessing, pixels.isLast).data;
}

/** Bytes [n, h, w, c], with the dims of the floats that they become. */
function pixels(data: Uint8Array, dims: unknown, channels: number, input: Value) {
  const bytes = checkBytes(data, dims);
  const [n, h, w, c] = bytes.dims as [number, number, number, number];
  if (bytes.dims.length === 4 && c === channels) {
    const isLast = imageLayout(input)?.isLast ?? false;
    return {
      data: bytes.data,
      dims: imageDims({ channels, isLast }, n, [h, w]),
      pixels: { dims: bytes.dims, isLast },
    };
  }
  const expected = `4 dims [n, h, w, ${channels}], as the data are bytes`;
  throw mismatch('ERR_SHAPE', ' dims', expected, describeList(bytes.dims));
}

/** The typed array of each type: a test, and its name for messages. */
const classes: Readonly<
  Record<DataType, readonly [test: (value: unknown) => value is NodeJS.TypedArray, name: string]>
> = {
  float32: [types.isFloat32Array, 'a Float32Array'],
  uint8: [types.isUint8Array, 'a Uint8Array'],
  bool: [types.isUint8Array, 'a Uint8Array'],
  int8: [types.isInt8Array, 'an Int8Array'],
  int32: [types.isInt32Array, 'an Int32Array'],
  int64: [types.isBigInt64Array, 'a BigInt64Array'],
};
