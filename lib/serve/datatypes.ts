import { describe, mismatch } from '../errors';

/** Datatypes of the protocol, and the typed arrays that hold them; FP16 and BF16 travel as raw bytes only. */
const arrays = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
  BYTES: Uint8Array,
} as const;

export type Datatype = keyof typeof arrays;
export type DataArray = InstanceType<(typeof arrays)[Datatype]>;

export function isDatatype(value: unknown): value is Datatype {
  return typeof value === 'string' && Object.hasOwn(arrays, value);
}

/** @throws {QARepVGGError} ERR_DTYPE */
export function readDatatype(value: unknown): Datatype {
  if (isDatatype(value)) return value;
  throw mismatch('ERR_DTYPE', `one of ${Object.keys(arrays).join(', ')}`, describe(value));
}

/** Bytes of one element; those of BYTES vary. */
export function elementSize(datatype: Datatype): number {
  return arrays[datatype].BYTES_PER_ELEMENT;
}

/** An array of that type, all zero. */
export function allocate(datatype: Datatype, length: number): DataArray {
  return new arrays[datatype](length);
}

/** The bytes as an array of that type; a view where they are aligned, otherwise a copy. */
export function viewAs(datatype: Datatype, bytes: Uint8Array): DataArray {
  const type = arrays[datatype];
  const aligned = bytes.byteOffset % type.BYTES_PER_ELEMENT === 0 ? bytes : Uint8Array.from(bytes);
  return new type(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / type.BYTES_PER_ELEMENT);
}

/** The bytes of an array, without a copy. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
}

/** Number of elements. @throws {QARepVGGError} ERR_SHAPE, ERR_SIZE_OVERFLOW */
export function countElements(shape: readonly number[]): number {
  let count = 1;
  for (const dim of shape) count *= dim;
  if (Number.isSafeInteger(count)) return count;
  throw mismatch('ERR_SIZE_OVERFLOW', 'a product of dims below 2 ** 53', String(count));
}
