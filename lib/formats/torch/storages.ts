import type { Dtype } from '../dtypes';

/** Memory that tensors are views of, several of them perhaps. */
export interface Storage {
  readonly key: string;
  /** Its class in PyTorch: "torch.FloatStorage". */
  readonly type: string;
  /** Undefined for elements that this package has no type for. */
  readonly dtype: Dtype | undefined;
  /** Elements in it. */
  readonly count: number;
  /** Elements of the storage of that key in front of it. */
  readonly offset: number;
}

/** Classes that stand for the element type of a storage; PyTorch's newer versions write the same names. */
const dtypes: ReadonlyMap<string, Dtype> = new Map([
  ['torch.FloatStorage', 'F32'],
  ['torch.DoubleStorage', 'F64'],
  ['torch.HalfStorage', 'F16'],
  ['torch.BFloat16Storage', 'BF16'],
  ['torch.LongStorage', 'I64'],
  ['torch.IntStorage', 'I32'],
  ['torch.ShortStorage', 'I16'],
  ['torch.CharStorage', 'I8'],
  ['torch.ByteStorage', 'U8'],
  ['torch.BoolStorage', 'BOOL'],
]);

/** Bytes per element of those that have no type here. */
const otherSizes: ReadonlyMap<string, number> = new Map([
  ['torch.ComplexFloatStorage', 8],
  ['torch.ComplexDoubleStorage', 16],
  ['torch.QInt8Storage', 1],
  ['torch.QUInt8Storage', 1],
  ['torch.QInt32Storage', 4],
  ['torch.UntypedStorage', 1],
  ['torch.storage.UntypedStorage', 1],
]);

export function storageDtype(type: string): Dtype | undefined {
  return dtypes.get(type);
}

/** Undefined where it is not known. */
export function otherElementBytes(type: string): number | undefined {
  return otherSizes.get(type);
}
