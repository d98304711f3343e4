import type { DataType, TensorData } from '../graph/graph';
import { type Steps, stepSize } from '../slices';
import { type Dtype, rawTensor } from './dtypes';
import { toFloats } from './float32';

/** The type that a graph uses for each element type of files. */
const types: Readonly<Record<Dtype, DataType>> = {
  BOOL: 'bool',
  U8: 'uint8',
  I8: 'int8',
  I16: 'int32',
  U16: 'int32',
  F16: 'float32',
  BF16: 'float32',
  I32: 'int32',
  U32: 'int64',
  F32: 'float32',
  F64: 'float32',
  I64: 'int64',
  U64: 'int64',
};

/** Converts elements of a file to a type that graphs have: the same one if possible, else a wider one; floats become float32. */
export function* inGraphType(
  dtype: Dtype,
  data: NodeJS.TypedArray,
): Steps<{ readonly type: DataType; readonly data: TensorData }> {
  return { type: types[dtype], data: yield* converted(dtype, data) };
}

function* converted(dtype: Dtype, data: NodeJS.TypedArray): Steps<TensorData> {
  switch (dtype) {
    case 'F16':
    case 'BF16':
    case 'F64':
      return yield* toFloats(rawTensor(dtype, data, []));
    case 'U16':
    case 'I16':
      return yield* inParts(new Int32Array(data.length), (result, i) => {
        result[i] = data[i] as number;
      });
    case 'U32':
      return yield* inParts(new BigInt64Array(data.length), (result, i) => {
        result[i] = BigInt(data[i] as number);
      });
    case 'U64':
      return new BigInt64Array(data.buffer, data.byteOffset, data.length);
    case 'BOOL':
      return yield* inParts(new Uint8Array(data.length), (result, i) => {
        result[i] = data[i] === 0 ? 0 : 1;
      });
    default:
      return data as TensorData;
  }
}

/** Writes an array element by element. */
function* inParts<T extends TensorData>(result: T, write: (result: T, i: number) => void): Steps<T> {
  for (let start = 0; start < result.length; start += stepSize) {
    if (start > 0) yield;
    const end = Math.min(start + stepSize, result.length);
    for (let i = start; i < end; i++) write(result, i);
  }
  return result;
}
