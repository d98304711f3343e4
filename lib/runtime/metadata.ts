import type { DataType } from '../graph/graph';

/** What an input or output of a session is, as onnxruntime-node describes it. */
export interface ValueMetadata {
  readonly name: string;
  readonly isTensor: true;
  readonly type: DataType;
  /** Sizes; of a dimension that is open, its name. */
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
