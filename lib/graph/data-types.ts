import type { DataType } from './graph';

/** The element types of ONNX by their numbers (TensorProto.DataType), and the type that a graph uses for each. */
const types: Readonly<Record<number, DataType>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  4: 'int32', // uint16
  5: 'int32', // int16
  6: 'int32',
  7: 'int64',
  9: 'bool',
  10: 'float32', // float16
  11: 'float32', // double
  12: 'int64', // uint32
  13: 'int64', // uint64
  16: 'float32', // bfloat16
};

/** The type that a graph uses for a type of ONNX; nothing for strings, complex numbers and the like. */
export function dataTypeOf(number: number): DataType | undefined {
  return types[number];
}

const numbers: Readonly<Record<DataType, number>> = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9 };

/** ONNX's number of a type. */
export function onnxTypeOf(type: DataType): number {
  return numbers[type];
}

/** Smallest float32 that is not denormal. */
export const minNormal = 2 ** -126;

/** Whether a float32 can be a scale: above 0, finite and not denormal. */
export function isNormal(value: number): boolean {
  return value >= minNormal && value < Number.POSITIVE_INFINITY;
}
