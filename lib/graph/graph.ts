import type { QARepVGGError } from '../errors';

/** Element types of values. Files may hold others, which are converted when they are read. */
export type DataType = 'float32' | 'uint8' | 'int8' | 'int32' | 'int64' | 'bool';

/** Float64Array holds what passes compute, until the last pass rounds it. */
export type TensorData = Float32Array | Float64Array | Uint8Array | Int8Array | Int32Array | BigInt64Array;

/** A length, or the name of a length that each run decides. */
export type Dim = number | string;

export interface ValueType<D extends Dim = Dim> {
  readonly type: DataType;
  readonly dims: readonly D[];
}

/** A constant: numbers in row-major order. A bool is a byte, 0 or 1. */
export interface GraphTensor extends ValueType<number> {
  readonly data: TensorData;
}

export interface Value extends ValueType {
  readonly name: string;
}

export type AttributeValue = number | string | readonly number[] | readonly string[] | GraphTensor;

/** Attributes by name; undefined if there is neither a value nor a default. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

/**
 * A function of one number that an op applies before it stores: the attributes of the engine's op `unary`. The result is then multiplied by
 * `scale`, plus `shift`.
 */
export interface Activation {
  readonly kind: string;
  readonly scale?: number;
  readonly shift?: number;
  readonly [parameter: string]: number | string | undefined;
}

export interface GraphNode {
  readonly name: string;
  /** Key of the table in `ops/`. */
  readonly op: string;
  /** Names of values and tensors; '' for an absent input. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
  /** Applied to every output before it is stored. */
  readonly activation?: Activation;
  /** Of an If: what it computes where its condition holds, and where not. */
  readonly branches?: readonly [yes: Branch, no: Branch];
}

/** Nodes that a condition decides about. Names are those of the graph, whose values they may read. */
export interface Branch {
  readonly nodes: readonly GraphNode[];
  readonly outputs: readonly string[];
  /** Why it cannot be computed. */
  readonly fault?: QARepVGGError | undefined;
}

/** A network: plain data, never changed. Nodes come after the nodes that they read. */
export interface Graph {
  readonly inputs: readonly Value[];
  readonly outputs: readonly string[];
  readonly nodes: readonly GraphNode[];
  readonly tensors: ReadonlyMap<string, GraphTensor>;
  /** Types and dims, as far as they are known. After `specialize` they are known for all values, and dims are numbers. */
  readonly values: ReadonlyMap<string, ValueType>;
}

/** Number of elements. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** Whether two lists of dims are the same. */
export function sameDims(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}
