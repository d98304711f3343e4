import type { Dtype } from '../dtypes';

/** Memory that one or more tensors are views of. */
export interface Storage {
  readonly key: string;
  /** Its class in PyTorch: "torch.FloatStorage". */
  readonly type: string;
  /** Undefined for a type that this package does not read. */
  readonly dtype: Dtype | undefined;
  /** Number of elements. */
  readonly count: number;
  /** Offset in the storage of this key, in elements. */
  readonly offset: number;
}

/** The element type of each class of storages. Newer versions of PyTorch write the same names. */
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

/** Bytes per element of the types that this package does not read. */
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

/** Undefined for an unknown type. */
export function otherElementBytes(type: string): number | undefined {
  return otherSizes.get(type);
}
