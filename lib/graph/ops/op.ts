import { describeList, type ErrorCode, mismatch, type QARepVGGError, quote } from '../../errors';
import { type AttributeValue, type GraphNode, type GraphTensor, sameDims, type ValueType } from '../graph';
import { listOf } from '../tensors';
import type { Builder } from './builder';

/**
 * Everything that TypeScript knows about an operator. Its form is that of ONNX's opset 18, in which parameters such as axes are
 * inputs. `upgrade` turns older forms into it.
 */
export interface Op<A extends AttributeTable = AttributeTable> {
  /** Name in ONNX. */
  readonly onnx: string;
  /** Domain of an operator that is not ONNX's own. */
  readonly domain?: string;
  /** Fewest and most inputs. */
  readonly inputs: readonly [least: number, most: number];
  /** Fewest and most outputs. Default: one. */
  readonly outputs?: readonly [least: number, most: number];
  readonly attributes: A;
  /** Attributes of older opsets that have become inputs. */
  readonly moved?: readonly MovedAttribute[];
  /** Inputs that the engine must know when it compiles a graph: lists of dims, axes, weights and the like. */
  readonly parameters?: readonly number[];
  /** Turns a node from a file of an older opset into the newest form, which may be several nodes. */
  upgrade?(node: FileNode, opset: number, additions: Additions): readonly FileNode[];
  /** How many outputs are computed, if not all: nothing may read the others. */
  readonly computed?: number;
  /** Refuses what cannot be computed for any dims of a run, so that all such nodes of a file are named in one error. */
  check?(node: SketchNode<A>): void;
  /** Types and dims of the outputs. */
  infer(node: OpNode<A>): readonly ValueType<number>[];
  /** Computes the outputs if all inputs are constants. */
  evaluate?(node: OpNode<A>): readonly GraphTensor[];
  /** The outputs depend only on the dims of the inputs, not on their numbers. */
  readonly dimsOnly?: true;
  /**
   * The dims of the output depend on numbers, so `evaluate` computes it after the engine has run, see tail.ts: always, or only where the
   * numbers of `parameters` follow from those of inputs.
   */
  readonly afterRun?: 'always' | 'of inputs';
  /** Expresses the node by others if the engine does not have it, or not with these attributes. Returns the last of them. */
  writeOut?(node: OpNode<A>, builder: Builder): GraphNode | undefined;
  /**
   * Whether each image of a batch is computed alone: axis 0 of the outputs depends only on the same of the inputs, constants apart. Asked of
   * a node with one image, and with two. Absent: no.
   */
  readonly isPerImage?: true | ((one: OpNode<A>, two: OpNode<A>) => boolean);
  /** Counts multiply-adds. */
  macs?(node: OpNode<A>): number;
  /** Makes the native node. Absent if passes always remove the operator. */
  lower?(node: OpNode<A>): Lowered;
}

/** A node with what its operator needs to know about its inputs. */
export interface OpNode<A extends AttributeTable = AttributeTable> {
  readonly node: GraphNode;
  readonly attributes: AttributesOf<A>;
  readonly inputs: readonly (Operand | undefined)[];
  /** What messages call the node. */
  readonly place: string;
}

/** A node of a file, before the dims of a run are known: of its inputs only what the file tells. */
export type SketchNode<A extends AttributeTable = AttributeTable> = Omit<OpNode<A>, 'inputs'> & {
  readonly inputs: readonly (ValueType | undefined)[];
};

export interface Operand extends ValueType<number> {
  /** Its numbers, if it is a constant. */
  readonly tensor?: GraphTensor | undefined;
}

/** A node of the engine: its name there, the inputs that it reads (default: all), and its attributes. */
export interface Lowered {
  readonly op: string;
  readonly inputs?: readonly number[];
  readonly attributes?: Readonly<Record<string, number | boolean | string | readonly number[]>>;
}

/** A node as a file has it: attributes are neither checked nor complete. */
export interface FileNode {
  readonly name: string;
  /** Name in ONNX. */
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, AttributeValue>;
}

/** What an upgrade may add to a graph. */
export interface Additions {
  /** Adds a constant; returns its name. */
  tensor(tensor: GraphTensor): string;
  /** Returns a name that no other value has. */
  name(hint: string): string;
}

export interface MovedAttribute {
  readonly attribute: string;
  readonly input: number;
  /** The first opset in which it is an input. */
  readonly opset: number;
}

export interface Kinds {
  int: number;
  float: number;
  text: string;
  ints: readonly number[];
  floats: readonly number[];
  texts: readonly string[];
  tensor: GraphTensor;
}

export interface AttributeKind<K extends keyof Kinds = keyof Kinds, T = unknown> {
  readonly kind: K;
  readonly fallback?: T;
  readonly required?: true;
}

export type AttributeTable = Readonly<Record<string, AttributeKind>>;

export type AttributesOf<A extends AttributeTable> = {
  readonly [N in keyof A]: A[N] extends AttributeKind<keyof Kinds, infer T> ? T : never;
};

/** An attribute with a default. */
export function attribute<K extends keyof Kinds>(kind: K, fallback: Kinds[K]): AttributeKind<K, Kinds[K]> {
  return { kind, fallback };
}

export function optionalAttribute<K extends keyof Kinds>(kind: K): AttributeKind<K, Kinds[K] | undefined> {
  return { kind };
}

export function requiredAttribute<K extends keyof Kinds>(kind: K): AttributeKind<K, Kinds[K]> {
  return { kind, required: true };
}

/** Types the functions of an operator by its attributes, and drops these types for the table. */
export function defineOp<const A extends AttributeTable>(op: Op<A>): Op {
  return op as unknown as Op;
}

/** The dims of an input, if all are known. */
export function knownDims({ inputs }: SketchNode, index: number): readonly number[] | undefined {
  const dims = inputs[index]?.dims;
  return dims?.every((dim) => typeof dim === 'number') ? (dims as readonly number[]) : undefined;
}

/** Returns an input. @throws {QARepVGGError} ERR_MODEL_FORMAT if it is absent. */
export function operand(node: OpNode, index: number): Operand {
  const found = node.inputs[index];
  if (found) return found;
  throw mismatch('ERR_MODEL_FORMAT', node.place, `an input ${index}`, 'none');
}

/** Returns an input of `evaluate`, whose inputs are all constants. */
export function tensorAt(node: OpNode, index: number): GraphTensor {
  return operand(node, index).tensor as GraphTensor;
}

/** Returns the numbers of an input that must be a constant; nothing if the input is absent. */
export function constantList(node: OpNode, index: number): number[] | undefined {
  const input = node.inputs[index];
  if (!input) return undefined;
  if (input.tensor) return listOf(input.tensor);
  const expected = `input ${index} (${quote(node.node.inputs[index] as string)}) to follow from the dims of the inputs`;
  throw mismatch('ERR_MODEL_INCOMPATIBLE', node.place, expected, 'one that is computed from data');
}

/** Same as {@link constantList}, for one number. */
export function constantNumber(node: OpNode, index: number): number | undefined {
  const list = constantList(node, index);
  if (list === undefined || list.length === 1) return list?.[0];
  throw unfit(node, `one number as input ${index}`, describeList(list));
}

/** An error for dims, or for attributes that do not fit them. */
export function unfit({ place }: Pick<OpNode, 'place'>, expected: string, received: string): QARepVGGError {
  return mismatch('ERR_SHAPE', place, expected, received);
}

/** An error for what no kernel computes. */
export function unsupported({ place }: Pick<OpNode, 'place'>, expected: string, received: string): QARepVGGError {
  return mismatch('ERR_MODEL_INCOMPATIBLE' satisfies ErrorCode, place, expected, received);
}

/** Resolves an axis: negative ones count from the end. @throws {QARepVGGError} ERR_SHAPE */
export function axisOf(node: OpNode, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (Number.isInteger(positive) && positive >= 0 && positive < Math.max(rank, 1)) return positive;
  throw unfit(node, `an axis from ${-rank} to ${rank - 1}`, String(axis));
}

/** The axis of the first input that the attribute names. */
export function namedAxis(node: OpNode<{ readonly axis: AttributeKind<'int', number> }>): number {
  return axisOf(node, node.attributes.axis, operand(node, 0).dims.length);
}

/** Same as {@link axisOf}, for a list: returns it without repetitions, in ascending order. */
export function axesOf(node: OpNode, axes: readonly number[], rank: number): number[] {
  const positive = axes.map((axis) => axisOf(node, axis, rank)).sort((a, b) => a - b);
  if (new Set(positive).size === positive.length) return positive;
  throw unfit(node, 'distinct axes', describeList(axes));
}

/** Returns the dims that operands are broadcast to. @throws {QARepVGGError} ERR_SHAPE */
export function broadcastDims(node: OpNode, all: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...all.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = all.map((dims) => dims[axis - rank + dims.length] ?? 1);
    const size = sizes.find((dim) => dim !== 1) ?? 1;
    if (sizes.every((dim) => dim === 1 || dim === size)) return size;
    throw unfit(node, 'operands that can be broadcast together', all.map(describeList).join(' and '));
  });
}

/**
 * `isPerImage` of operators that broadcast: a constant must be the same for all images, so it has no axis 0, or one of length 1.
 */
export function broadcastsPerImage({ inputs }: OpNode, two: OpNode): boolean {
  const rank = Math.max(...inputs.map((input) => input?.dims.length ?? 0));
  return inputs.every((input, i) => {
    const { dims = [], tensor } = input ?? {};
    if (!tensor) return dims.length === rank;
    return sameDims(dims, two.inputs[i]?.dims ?? []) && (dims.length < rank || dims[0] === 1);
  });
}

/** A node derived from another one: its name with an ending, which is also the name of the output. */
export function derived(
  node: FileNode,
  ending: string,
  op: string,
  inputs: readonly string[],
  additions: Additions,
  attributes: Readonly<Record<string, AttributeValue>> = {},
): FileNode {
  const name = additions.name(`${node.name || node.outputs[0]}/${ending}`);
  return { name, op, inputs, outputs: [name], attributes: new Map(Object.entries(attributes)) };
}
