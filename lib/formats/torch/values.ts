import { types } from 'node:util';
import type { RawTensor } from '../dtypes';

/**
 * What a checkpoint holds. Dicts are objects without a prototype, integer keys as text; lists and tuples are arrays;
 * parameters are tensors. Tensors that share memory in PyTorch share it here, and most are views of the file's bytes.
 */
export type TorchValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | RawTensor
  | TorchValue[]
  | { [key: string]: TorchValue };

/** Whether a value of a checkpoint is a tensor. Nothing else in it has a typed array. */
export function isRawTensor(value: TorchValue | undefined): value is RawTensor {
  return typeof value === 'object' && value !== null && 'data' in value && types.isTypedArray(value.data);
}
