import type { DataType } from '../graph/graph';

/** Describes an input or output of a session as onnxruntime-node does. */
export interface ValueMetadata {
  readonly name: string;
  readonly isTensor: true;
  readonly type: DataType;
  /** Length of each dimension; the name of an open one. */
  readonly shape: readonly (number | string)[];
}

/** Metadata of a value. */
export function valueMetadata(
  name: string,
  shape: readonly (number | string)[],
  type: DataType = 'float32',
): ValueMetadata {
  return Object.freeze({ name, isTensor: true, type, shape: Object.freeze([...shape]) });
}
