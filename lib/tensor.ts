import { types } from 'node:util';
import { boundary, describe, describeList, mismatch, within } from './errors';
import { allocateFloats, checkedProduct, maxRank } from './limits';
import { number, parseOptions, readForeign, seedField } from './options';
import { Random } from './random';

/** Numbers in row-major order. Images are NCHW: dims are [batch, channels, height, width]. */
export interface Tensor {
  data: Float32Array;
  dims: number[];
}

/** What functions accept as a tensor: anything with `data` and `dims`, an onnxruntime tensor of float32 too. */
export interface TensorLike {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** Options of {@link randn}. */
export interface RandnOptions {
  /** An integer from 0 to 2^53 - 1. @default 0 */
  readonly seed?: number;
  /** @default 0 */
  readonly mean?: number;
  /** Standard deviation. @default 1 */
  readonly std?: number;
}

/**
 * A tensor of checked data: every dim an integer from 1, and exactly as many numbers as the dims say.
 * A Float32Array is kept, not copied; an array of numbers becomes a new Float32Array.
 *
 * @throws {QARepVGGError} ERR_SHAPE, ERR_SIZE_OVERFLOW for dims; ERR_DTYPE, ERR_BUFFER_* for data.
 *
 * @example
 * const x = tensor([1, 2, 3, 4], [1, 1, 2, 2]);
 */
export function tensor(data: Float32Array | readonly number[], dims: readonly number[]): Tensor {
  return boundary('tensor', () => {
    const checked = readDims(dims);
    const count = within(' dims', () => checkedProduct(checked));
    const floats = readForeign(() => (Array.isArray(data) ? copyNumbers(data, count) : data));
    return { data: checkFloats(floats, count), dims: checked };
  });
}

/**
 * Normal deviates, the same for the same seed.
 *
 * @throws {QARepVGGError} ERR_SHAPE, ERR_SIZE_OVERFLOW, ERR_LIMIT for dims; ERR_INVALID_ARG for options.
 *
 * @example
 * const x = randn([2, 3, 224, 224], { seed: 42 });
 */
export function randn(dims: readonly number[], options: RandnOptions = {}): Tensor {
  return boundary('randn', () => {
    const { seed, mean, std } = parseOptions(randnFields, options);
    const checked = readDims(dims);
    const data = allocateFloats(checkedProduct(checked));
    new Random(seed).fillNormal(data, mean, std);
    return { data, dims: checked };
  });
}

const randnFields = {
  seed: seedField,
  mean: number(-Number.MAX_VALUE, Number.MAX_VALUE, 0),
  std: number(0, Number.MAX_VALUE, 1),
};

/**
 * Reads a foreign tensor once and checks it; the result holds the same data and a copy of the dims.
 *
 * @throws {QARepVGGError} the errors of {@link tensor}, and ERR_INVALID_ARG when `value` is no object.
 */
export function asTensor(value: unknown): Tensor {
  const { data, dims } = readTensor(value);
  return checkTensor(data, dims);
}

/** Same as {@link asTensor}, for images: exactly four dims, `channels` channels. */
export function asImages(value: unknown, channels: number): Tensor {
  const images = asTensor(value);
  if (images.dims.length !== 4) {
    throw mismatch('ERR_SHAPE', ' dims', '4 dims [n, c, h, w]', describeList(images.dims));
  }
  if (images.dims[1] !== channels) {
    throw mismatch('ERR_SHAPE', ' dims', `${channels} channels in dims[1]`, describeList(images.dims));
  }
  return images;
}

/** The part of {@link asTensor} that may run the caller's code. It only checks that the value can be read. */
export function readTensor(value: unknown): { data: unknown; dims: unknown } {
  if (typeof value !== 'object' || value === null) {
    throw mismatch('ERR_INVALID_ARG', 'a tensor { data, dims }', describe(value));
  }
  return readForeign(() => {
    const { data, dims } = value as { data?: unknown; dims?: unknown };
    return { data, dims: copyDims(dims) };
  });
}

/** The part of {@link asTensor} that runs none of the caller's code: what it has checked stays true. */
export function checkTensor(data: unknown, dims: unknown): Tensor {
  return checkElements(data, dims, [types.isFloat32Array, 'a Float32Array']);
}

/** Same as {@link checkTensor}, for bytes. */
export function checkBytes(data: unknown, dims: unknown): { data: Uint8Array; dims: number[] } {
  return checkElements(data, dims, [types.isUint8Array, 'a Uint8Array']);
}

/**
 * Same as {@link checkTensor}, for elements of any class, given as a test and a name.
 *
 * @param least The smallest length along an axis.
 */
export function checkElements<T extends NodeJS.TypedArray>(
  data: unknown,
  dims: unknown,
  [isOfClass, name]: readonly [test: (value: unknown) => value is T, name: string],
  least: 0 | 1 = 1,
): { data: T; dims: number[] } {
  const checked = checkDims(dims, least);
  const count = within(' dims', () => checkedProduct(checked));
  if (!isOfClass(data)) throw mismatch('ERR_DTYPE', ' data', name, describe(data));
  checkMemory(data, count);
  return { data, dims: checked };
}

/**
 * A new array as one of this realm, on the same memory. The addon makes arrays of the realm that loaded it; where tests run in
 * another, as in jest, `instanceof Float32Array` should still hold.
 */
export function inThisRealm(data: Float32Array): Float32Array {
  return data instanceof Float32Array ? data : new Float32Array(bufferOf(data), 0, lengthOf(data));
}

export function readDims(dims: unknown): number[] {
  const copy = readForeign(() => copyDims(dims));
  return checkDims(copy);
}

function copyDims(dims: unknown): unknown {
  if (!Array.isArray(dims)) return dims;
  // One more than is allowed is enough to see that there are too many.
  const length = Math.min(dims.length, maxRank + 1);
  return Array.from({ length }, (_, i) => dims[i] as unknown);
}

function checkDims(dims: unknown, least = 1): number[] {
  if (!Array.isArray(dims)) {
    throw mismatch('ERR_SHAPE', ' dims', 'an array of integers', describe(dims));
  }
  if (dims.length > maxRank) {
    throw mismatch('ERR_SHAPE', ' dims', `at most ${maxRank} dims`, 'more');
  }
  dims.forEach((dim: unknown, i) => {
    if (!Number.isInteger(dim) || (dim as number) < least || Object.is(dim, -0)) {
      throw mismatch('ERR_SHAPE', ` dims[${i}]`, `an integer from ${least}`, describe(dim));
    }
    if (!Number.isSafeInteger(dim)) {
      throw mismatch('ERR_SIZE_OVERFLOW', ` dims[${i}]`, 'an integer below 2^53', describe(dim));
    }
  });
  return dims;
}

function copyNumbers(values: readonly unknown[], count: number): Float32Array {
  checkLength(values.length, count);
  const copy = within(' data', () => allocateFloats(count));
  for (let i = 0; i < count; i++) {
    const value = values[i];
    if (typeof value !== 'number') throw mismatch('ERR_DTYPE', ` data[${i}]`, 'a number', describe(value));
    copy[i] = value;
  }
  return copy;
}

/** A getter of the language itself: reads an object's internal slot, past any property that the object has put there. */
function intrinsic<T>(prototype: object, name: string): ((object: object) => T) | undefined {
  const get = Object.getOwnPropertyDescriptor(prototype, name)?.get;
  return get && ((object) => get.call(object) as T);
}

const typedArrayPrototype = Object.getPrototypeOf(Float32Array.prototype) as object;
const lengthOf = intrinsic<number>(typedArrayPrototype, 'length') as (object: object) => number;
/** The memory under a typed array. */
export const bufferOf = intrinsic<ArrayBufferLike>(typedArrayPrototype, 'buffer') as (
  object: object,
) => ArrayBufferLike;
const isResizable = intrinsic<boolean>(ArrayBuffer.prototype, 'resizable') ?? (() => false);

/** Runs none of the caller's code; `count` is at least 1. */
function checkFloats(data: unknown, count: number): Float32Array {
  if (!types.isFloat32Array(data)) throw mismatch('ERR_DTYPE', ' data', 'a Float32Array', describe(data));
  checkMemory(data, count);
  return data;
}

function checkMemory(data: NodeJS.TypedArray, count: number): void {
  within(' data', () => checkFixedMemory(data, `${count} numbers`));
  checkLength(lengthOf(data), count);
}

/** Memory that keeps its place and size. @throws {QARepVGGError} ERR_BUFFER_SHARED, ERR_BUFFER_RESIZED, ERR_BUFFER_DETACHED */
export function checkFixedMemory(data: NodeJS.TypedArray, expected: string): void {
  const buffer = bufferOf(data);
  if (types.isSharedArrayBuffer(buffer)) {
    throw mismatch('ERR_BUFFER_SHARED', 'memory that no other thread writes', 'a view of a SharedArrayBuffer');
  }
  if (isResizable(buffer)) {
    throw mismatch('ERR_BUFFER_RESIZED', 'memory of a fixed size', 'a view of a resizable ArrayBuffer');
  }
  if (lengthOf(data) === 0 && isDetached(buffer)) {
    throw mismatch('ERR_BUFFER_DETACHED', expected, 'a view of a detached ArrayBuffer');
  }
}

function checkLength(length: number, count: number): void {
  if (length !== count) {
    throw mismatch('ERR_BUFFER_SIZE', ' data', `${count} numbers, the product of dims`, String(length));
  }
}

function isDetached(buffer: ArrayBufferLike): boolean {
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}
