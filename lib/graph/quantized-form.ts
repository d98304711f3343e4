import { mismatch } from '../errors';
import { minNormal } from './data-types';
import type { AttributeValue, Graph, GraphNode, GraphTensor, ValueType } from './graph';
import { opOf } from './ops';
import { movedOps, quantizedOps } from './quantized-ops';
import { nodeOf } from './rewriter';
import { nodeView } from './specialize';
import { listOf } from './tensors';
import { unsignedForm } from './unsigned-form';

/**
 * Brings a quantised graph of any origin into one form: nodes that compute in integers stand between DequantizeLinear and
 * QuantizeLinear, computed integers are unsigned, and weights that the file stores as floats to be rounded are constants. Other
 * graphs stay as they are.
 *
 * @throws {QARepVGGError} ERR_QUANT_PARAM naming a node whose scale is not a positive number.
 */
export function quantizedForm(graph: Graph): Graph {
  if (!graph.nodes.some(({ op }) => op in quantizedOps)) return graph;
  const form = new QuantizedForm(graph);
  for (const node of graph.nodes) form.add(node);
  return unsignedForm(form.finish());
}

/** Operators with weights, as their second input. */
const weighted = ['conv', 'convTranspose', 'gemm', 'matMul'];

/** Whether any weights of a graph are integers. */
export function isQuantized({ nodes }: Graph): boolean {
  const floats = new Set(nodes.flatMap(({ op, outputs }) => (op === 'dequantizeLinear' ? outputs : [])));
  return nodes.some(({ op, inputs }) => weighted.includes(op) && floats.has(inputs[1] as string));
}

/** Rewrites the nodes of a graph in that form. */
export class QuantizedForm {
  readonly tensors: Map<string, GraphTensor>;
  readonly #graph: Graph;
  readonly #nodes: GraphNode[] = [];
  readonly #names: Set<string>;
  /** Outputs of Constant nodes. */
  readonly #made = new Map<string, GraphTensor>();
  /** Names of scale and zero point, by the name of the integers. */
  readonly #scales = new Map<string, readonly string[]>();

  constructor(graph: Graph) {
    this.#graph = graph;
    this.tensors = new Map(graph.tensors);
    const inputs = graph.inputs.map(({ name }) => name);
    this.#names = new Set([...inputs, ...graph.tensors.keys(), ...graph.nodes.flatMap(({ outputs }) => outputs)]);
  }

  add(node: GraphNode): void {
    const form = quantizedOps[node.op] ?? (this.#scales.has(node.inputs[0] as string) ? movedOps[node.op] : undefined);
    if (form) form(node, this);
    else this.push(node);
    if (node.op !== 'constant') return;
    const [tensor] = opOf(node).evaluate?.(nodeView(node, new Map(), new Map())) ?? [];
    if (tensor) this.#made.set(node.outputs[0] as string, tensor);
  }

  push(node: GraphNode): void {
    this.#nodes.push(node);
  }

  constant(name: string | undefined): GraphTensor | undefined {
    return name === undefined ? undefined : (this.tensors.get(name) ?? this.#made.get(name));
  }

  /** Computes the output of a node if its inputs are constants. */
  fold(node: GraphNode): GraphTensor | undefined {
    const known = new Map(node.inputs.flatMap((name) => [...pairOf(name, this.constant(name))]));
    if (node.inputs.some((name) => name !== '' && !known.has(name))) return undefined;
    const view = nodeView(node, new Map<string, ValueType>(), known);
    opOf(node).infer(view);
    return opOf(node).evaluate?.(view)[0];
  }

  /** Adds a node that the file does not have; returns the name of its output. */
  made(
    like: GraphNode,
    ending: string,
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue | undefined>> = {},
  ): string {
    const name = this.#free(`${like.name}/${ending}`);
    this.push(nodeOf({ name, outputs: [name] }, op, inputs, attributes));
    return name;
  }

  /** Same as {@link made}; adds a constant instead if the inputs are constants. */
  compute(like: GraphNode, ending: string, op: string, inputs: readonly string[]): string {
    const name = this.#free(`${like.name}/${ending}`);
    const node = nodeOf({ name, outputs: [name] }, op, inputs);
    const folded = this.fold(node);
    if (folded) this.tensors.set(name, folded);
    else this.push(node);
    return name;
  }

  dequantize(like: GraphNode, ending: string, inputs: readonly string[], axis = 1): string {
    const name = this.made(like, ending, 'dequantizeLinear', withoutEnd(inputs), { axis });
    this.checkScale(this.#nodes.at(-1) as GraphNode);
    return name;
  }

  quantize(node: Pick<GraphNode, 'name' | 'outputs'>, inputs: readonly string[]): void {
    const made = nodeOf(node, 'quantizeLinear', withoutEnd(inputs));
    this.checkScale(made);
    this.round(made);
  }

  /** Keeps a QuantizeLinear. */
  round(node: GraphNode): void {
    this.#scales.set(node.outputs[0] as string, node.inputs.slice(1));
    this.push(node);
  }

  /** Names of scale and zero point of integers that an earlier node has made. */
  scaleOf(integers: string): readonly string[] {
    return this.#scales.get(integers) ?? [];
  }

  name(hint: string): string {
    return this.#free(hint);
  }

  /** Only weights may have a scale of 0: such a channel is dead, and its weights count as zeros. */
  checkScale(node: GraphNode): void {
    const scale = this.constant(node.inputs[1]);
    if (!scale) return;
    const isConstant = this.constant(node.inputs[0]) !== undefined;
    const least = isConstant ? 0 : minNormal;
    const odd = listOf(scale).find((value) => !(value >= least && value < Number.POSITIVE_INFINITY));
    if (odd === undefined) return;
    const { place } = nodeView(node, new Map(), new Map());
    const expected = isConstant ? 'scales from 0' : 'a scale that is positive and not denormal';
    throw mismatch('ERR_QUANT_PARAM', place, expected, String(odd));
  }

  /** @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE naming the node. */
  refuse(node: GraphNode, expected: string, received: string): never {
    const { place } = nodeView(node, new Map(), new Map());
    throw mismatch('ERR_MODEL_INCOMPATIBLE', place, expected, received);
  }

  finish(): Graph {
    const made = new Set(this.#nodes.flatMap(({ outputs }) => outputs));
    const values = [...this.#graph.values].filter(([name]) => made.has(name) || !this.tensors.has(name));
    return { ...this.#graph, nodes: this.#nodes, tensors: this.tensors, values: new Map(values) };
  }

  #free(hint: string): string {
    let name = hint;
    for (let i = 1; this.#names.has(name); i++) name = `${hint}_${i}`;
    this.#names.add(name);
    return name;
  }
}

function pairOf<T>(name: string, value: T | undefined): (readonly [string, T])[] {
  return value === undefined ? [] : [[name, value]];
}

function withoutEnd(inputs: readonly string[]): readonly string[] {
  return inputs.at(-1) === '' ? inputs.slice(0, -1) : inputs;
}
