import { describeList, type ErrorCode, mismatch, type QARepVGGError, quote } from '../../errors';
import type { AttributeValue, GraphNode, GraphTensor, ValueType } from '../graph';
import { listOf } from '../tensors';
import type { Builder } from './builder';

/**
 * All that TypeScript knows of an operator. Its form is that of ONNX's opset 18, in which parameters such as axes are
 * inputs; `upgrade` makes that form of older ones.
 */
export interface Op<A extends AttributeTable = AttributeTable> {
  /** Name in ONNX. */
  readonly onnx: string;
  /** Of operators that are not ONNX's own. */
  readonly domain?: string;
  /** Fewest and most inputs. */
  readonly inputs: readonly [least: number, most: number];
  /** Fewest and most outputs; one where nothing is said. */
  readonly outputs?: readonly [least: number, most: number];
  readonly attributes: A;
  /** Attributes of older versions that have become inputs. */
  readonly moved?: readonly MovedAttribute[];
  /** Inputs that the engine must know when it compiles a graph: lists of dims, axes, weights and the like. */
  readonly parameters?: readonly number[];
  /** Makes the newest form of a node from a file of an older opset, of several nodes if need be. */
  upgrade?(node: FileNode, opset: number, additions: Additions): readonly FileNode[];
  /** Types and dims of the outputs. */
  infer(node: OpNode<A>): readonly ValueType<number>[];
  /** The outputs, where all inputs are constants. */
  evaluate?(node: OpNode<A>): readonly GraphTensor[];
  /** The outputs depend on the dims of the inputs alone. */
  readonly dimsOnly?: true;
  /** How many results there are depends on numbers: what the operator makes is computed by `evaluate`, after the engine's part. */
  readonly afterRun?: true;
  /** In terms of other operators, where the engine does not have this one, or not like this; its last node. */
  writeOut?(node: OpNode<A>, builder: Builder): GraphNode | undefined;
  /** Multiply-adds. */
  macs?(node: OpNode<A>): number;
  /** The native node. Absent for what passes always remove. */
  lower?(node: OpNode<A>): Lowered;
}

/** A node with what its operator wants to know of the graph around it. */
export interface OpNode<A extends AttributeTable = AttributeTable> {
  readonly node: GraphNode;
  readonly attributes: AttributesOf<A>;
  readonly inputs: readonly (Operand | undefined)[];
  /** For messages. */
  readonly where: string;
}

export interface Operand extends ValueType<number> {
  /** Where it is a constant. */
  readonly tensor?: GraphTensor | undefined;
}

/** A node of the engine: its name there, which inputs it reads (all where nothing is said), and its attributes. */
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
  /** A constant; its name. */
  tensor(tensor: GraphTensor): string;
  /** A name that no other value has. */
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

/** Gives an operator's functions their types, and takes them off for the table. */
export function defineOp<const A extends AttributeTable>(op: Op<A>): Op {
  return op as unknown as Op;
}

/** @throws {QARepVGGError} ERR_MODEL_FORMAT for an input that is not there. */
export function operand({ inputs, where }: OpNode, index: number): Operand {
  const found = inputs[index];
  if (found) return found;
  throw mismatch('ERR_MODEL_FORMAT', where, `an input ${index}`, 'none');
}

/** An input of which `evaluate` is told that it is a constant. */
export function tensorAt(node: OpNode, index: number): GraphTensor {
  return operand(node, index).tensor as GraphTensor;
}

/** The list of an input that must be a constant; nothing if there is no such input. */
export function constantList(node: OpNode, index: number): number[] | undefined {
  const input = node.inputs[index];
  if (!input) return undefined;
  if (input.tensor) return listOf(input.tensor);
  const expected = `input ${index} (${quote(node.node.inputs[index] as string)}) to follow from the dims of the inputs`;
  throw mismatch('ERR_MODEL_INCOMPATIBLE', node.where, expected, 'one that is computed from data');
}

/** As {@link constantList}, of one number. */
export function constantNumber(node: OpNode, index: number): number | undefined {
  const list = constantList(node, index);
  if (list === undefined || list.length === 1) return list?.[0];
  throw unfit(node, `one number as input ${index}`, describeList(list));
}

/** An error about dims, or about attributes that do not fit them. */
export function unfit({ where }: OpNode, expected: string, received: string): QARepVGGError {
  return mismatch('ERR_SHAPE', where, expected, received);
}

/** An error about what no kernel computes. */
export function unsupported({ where }: OpNode, expected: string, received: string): QARepVGGError {
  return mismatch('ERR_MODEL_INCOMPATIBLE' satisfies ErrorCode, where, expected, received);
}

/** Negative axes count from the end. @throws {QARepVGGError} ERR_SHAPE */
export function axisOf(node: OpNode, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (Number.isInteger(positive) && positive >= 0 && positive < Math.max(rank, 1)) return positive;
  throw unfit(node, `an axis from ${-rank} to ${rank - 1}`, String(axis));
}

/** As {@link axisOf}, for a list without repetitions, in ascending order. */
export function axesOf(node: OpNode, axes: readonly number[], rank: number): number[] {
  const positive = axes.map((axis) => axisOf(node, axis, rank)).sort((a, b) => a - b);
  if (new Set(positive).size === positive.length) return positive;
  throw unfit(node, 'distinct axes', describeList(axes));
}

/** The dims that two or more operands are broadcast to. @throws {QARepVGGError} ERR_SHAPE */
export function broadcastDims(node: OpNode, all: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...all.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = all.map((dims) => dims[axis - rank + dims.length] ?? 1);
    const size = sizes.find((dim) => dim !== 1) ?? 1;
    if (sizes.every((dim) => dim === 1 || dim === size)) return size;
    throw unfit(node, 'operands that can be broadcast together', all.map(describeList).join(' and '));
  });
}

/** A node made of another one: its name with an ending, and a result of the same name. */
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
