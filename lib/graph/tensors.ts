import { types } from 'node:util';
import type { DataType, GraphTensor, TensorData } from './graph';
import { sizeOf } from './graph';

/** The elements as numbers. Integers beyond 2^53 are rounded: files use them to say "to the end". */
export function numbersOf({ data }: GraphTensor): ArrayLike<number> {
  return types.isBigInt64Array(data) ? Float64Array.from(data, Number) : data;
}

/** A view of the bytes of a tensor's numbers. */
export function bytesOf({ data }: GraphTensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Same as {@link numbersOf}, as a list: for tensors that hold axes or dims. */
export function listOf(tensor: GraphTensor): number[] {
  return Array.from(numbersOf(tensor));
}

/** Makes a tensor of numbers. Like a cast, it rounds them or wraps them around. */
export function tensorOf(type: DataType, dims: readonly number[], values: ArrayLike<number>): GraphTensor {
  return { type, dims, data: dataOf(type, values) };
}

export function emptyData(type: DataType, length: number): TensorData {
  switch (type) {
    case 'float32':
      return new Float32Array(length);
    case 'int32':
      return new Int32Array(length);
    case 'int8':
      return new Int8Array(length);
    case 'int64':
      return new BigInt64Array(length);
    default:
      return new Uint8Array(length);
  }
}

function dataOf(type: DataType, values: ArrayLike<number>): TensorData {
  if (type === 'bool') return Uint8Array.from(values, (value) => Number(value !== 0));
  if (type === 'int64') return BigInt64Array.from({ length: values.length }, (_, i) => toBigInt(values[i] as number));
  const data = emptyData(type, values.length) as Exclude<TensorData, BigInt64Array>;
  data.set(values);
  return data;
}

const greatest = 2n ** 63n - 1n;

function toBigInt(value: number): bigint {
  if (Number.isNaN(value)) return 0n;
  if (value >= 2 ** 63) return greatest;
  return value <= -(2 ** 63) ? -greatest - 1n : BigInt(Math.trunc(value));
}

/** Distance between neighbours along each axis, in elements. */
export function stridesOf(dims: readonly number[]): number[] {
  return dims.map((_, axis) => sizeOf(dims.slice(axis + 1)));
}

/**
 * Makes a tensor element by element: `pick` takes the index of an element and returns the position of its source. A position is
 * one number, in row-major order.
 */
export function rearrange(
  source: GraphTensor,
  dims: readonly number[],
  pick: (index: readonly number[]) => number,
): GraphTensor {
  const data = emptyData(source.type, sizeOf(dims));
  const index = dims.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = source.data[pick(index)] as never;
    advance(index, dims);
  }
  return { type: source.type, dims, data };
}

/** Advances an index to the next element. */
export function advance(index: number[], dims: readonly number[]): void {
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    index[axis] = (index[axis] as number) + 1;
    if ((index[axis] as number) < (dims[axis] as number)) return;
    index[axis] = 0;
  }
}

/** For each element of a tensor with dims `to`, the position that broadcasting reads in a tensor with dims `from`. */
export function broadcastPositions(from: readonly number[], to: readonly number[]): Uint32Array {
  const offset = to.length - from.length;
  const strides = stridesOf(from).map((stride, axis) => (from[axis] === 1 ? 0 : stride));
  const positions = new Uint32Array(sizeOf(to));
  const index = to.map(() => 0);
  for (let i = 0; i < positions.length; i++) {
    positions[i] = strides.reduce((sum, stride, axis) => sum + stride * (index[axis + offset] as number), 0);
    advance(index, to);
  }
  return positions;
}
