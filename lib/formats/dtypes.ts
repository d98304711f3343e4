import { types } from 'node:util';
import { mismatch, quote } from '../errors';
import { allFinite } from '../finite';
import type { Tensor } from '../tensor';

/** The class in which each element type is kept. Half and bfloat16 stay bits: JavaScript has no such numbers. */
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

/** A tensor of any element type, in row-major order. Unlike in a {@link Tensor}, a dim may be 0. */
export type RawTensor = { [D in Dtype]: { dtype: D; data: Arrays[D]; dims: number[] } }[Dtype];

interface ArrayClass {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): NodeJS.TypedArray;
}

/** Typed arrays are in the order of the machine's bytes: little-endian, as the files, wherever this package runs. */
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

/** The elements that `bytes` are: a view of them where they lie at a multiple of the element's size, otherwise a copy. */
export function arrayOf(dtype: Dtype, bytes: Uint8Array): NodeJS.TypedArray {
  const [Class] = classes[dtype];
  const aligned = bytes.byteOffset % Class.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
  return new Class(aligned.buffer, aligned.byteOffset, aligned.byteLength / Class.BYTES_PER_ELEMENT);
}

/** Puts a type on elements that are known to be of it. */
export function rawTensor(dtype: Dtype, data: NodeJS.TypedArray, dims: number[]): RawTensor {
  return { dtype, data, dims } as RawTensor;
}

/**
 * The same numbers in float32, as PyTorch's `.float()` gives them: F32 is kept, not copied; F16 and BF16 are exact; the
 * others are rounded to nearest.
 *
 * @throws {QARepVGGError} ERR_NON_FINITE for a finite number of F64 that would become infinite.
 */
export function toFloat32(tensor: RawTensor, where: string): Tensor {
  return { data: floats(tensor, where), dims: tensor.dims };
}

/** As {@link toFloat32}, by name; the object has no prototype: any name is safe as a key. */
export function tensorsToFloat32(
  tensors: readonly (readonly [string, RawTensor])[],
  where: string,
): Record<string, Tensor> {
  const result = Object.create(null) as Record<string, Tensor>;
  for (const [name, tensor] of tensors) result[name] = toFloat32(tensor, `${where}, ${quote(name)}`);
  return result;
}

function floats(tensor: RawTensor, where: string): Float32Array {
  switch (tensor.dtype) {
    case 'F32':
      return tensor.data;
    case 'F16': {
      const values = halves();
      return Float32Array.from(tensor.data, (bits) => values[bits] as number);
    }
    case 'BF16':
      return new Float32Array(Uint32Array.from(tensor.data, (bits) => bits << 16).buffer);
    case 'I64':
    case 'U64':
      return Float32Array.from(tensor.data as BigInt64Array, Number);
    case 'F64':
      return narrowed(tensor.data, where);
    default:
      return new Float32Array(tensor.data);
  }
}

function narrowed(values: Float64Array, where: string): Float32Array {
  const result = new Float32Array(values);
  if (allFinite(result)) return result;
  const odd = values.find((value, i) => Number.isFinite(value) && !Number.isFinite(result[i]));
  if (odd === undefined) return result;
  throw mismatch('ERR_NON_FINITE', where, 'numbers that float32 has room for, up to 3.4e38', `${odd}`);
}

let halfValues: Float32Array | undefined;

/** The value of each of the 65,536 half-precision numbers (IEEE 754 binary16), by its bits. */
function halves(): Float32Array {
  halfValues ??= Float32Array.from({ length: 65_536 }, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
  });
  return halfValues;
}
