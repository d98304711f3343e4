import { types } from 'node:util';

/** The typed array for each element type. Half and bfloat16 stay bits: JavaScript has no such numbers. */
interface Arrays {
  BOOL: Uint8Array;
  U8: Uint8Array;
  I8: Int8Array;
  I16: Int16Array;
  U16: Uint16Array;
  F16: Uint16Array;
  BF16: Uint16Array;
  I32: Int32Array;
  U32: Uint32Array;
  F32: Float32Array;
  F64: Float64Array;
  I64: BigInt64Array;
  U64: BigUint64Array;
}

/** An element type, by its name in safetensors. */
export type Dtype = keyof Arrays;

/** A tensor of any element type, in row-major order. A dim may be 0. */
export type RawTensor = { [D in Dtype]: { dtype: D; data: Arrays[D]; dims: number[] } }[Dtype];

interface ArrayClass {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): NodeJS.TypedArray;
}

/** Typed arrays have the machine's byte order: little-endian, as in the files, wherever this package runs. */
const classes: { readonly [D in Dtype]: readonly [ArrayClass, (value: unknown) => boolean] } = {
  BOOL: [Uint8Array, types.isUint8Array],
  U8: [Uint8Array, types.isUint8Array],
  I8: [Int8Array, types.isInt8Array],
  I16: [Int16Array, types.isInt16Array],
  U16: [Uint16Array, types.isUint16Array],
  F16: [Uint16Array, types.isUint16Array],
  BF16: [Uint16Array, types.isUint16Array],
  I32: [Int32Array, types.isInt32Array],
  U32: [Uint32Array, types.isUint32Array],
  F32: [Float32Array, types.isFloat32Array],
  F64: [Float64Array, types.isFloat64Array],
  I64: [BigInt64Array, types.isBigInt64Array],
  U64: [BigUint64Array, types.isBigUint64Array],
};

/** All element types, the narrow ones first, in the order of the reference implementation of safetensors. */
export const dtypes: readonly Dtype[] = Object.keys(classes) as Dtype[];

export function isDtype(value: unknown): value is Dtype {
  return typeof value === 'string' && Object.hasOwn(classes, value);
}

/** Whether `value` is a typed array of the class that holds `dtype`. */
export function holds(dtype: Dtype, value: unknown): value is NodeJS.TypedArray {
  return classes[dtype][1](value);
}

/** "Float32Array" for F32. */
export function arrayName(dtype: Dtype): string {
  return (classes[dtype][0] as unknown as { name: string }).name;
}

export function bytesPerElement(dtype: Dtype): number {
  return classes[dtype][0].BYTES_PER_ELEMENT;
}

/** The bytes as elements: a view if they are aligned to the element's size, otherwise a copy. */
export function arrayOf(dtype: Dtype, bytes: Uint8Array): NodeJS.TypedArray {
  const [Class] = classes[dtype];
  const aligned = bytes.byteOffset % Class.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
  return new Class(aligned.buffer, aligned.byteOffset, aligned.byteLength / Class.BYTES_PER_ELEMENT);
}

/** Labels elements with their type. */
export function rawTensor(dtype: Dtype, data: NodeJS.TypedArray, dims: number[]): RawTensor {
  return { dtype, data, dims } as RawTensor;
}
