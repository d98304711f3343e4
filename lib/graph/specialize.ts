import { describeList, mismatch, quote } from '../errors';
import { atOnce, type Steps } from '../slices';
import { takenNodes } from './branches';
import { type Branch, type Graph, type GraphNode, type GraphTensor, sizeOf, type ValueType } from './graph';
import { opOf } from './ops';
import type { Operand, OpNode } from './ops/op';

/** Dims of the inputs of a run, by name. */
export type InputDims = ReadonlyMap<string, readonly number[]>;

/** A value has at most this many elements, so that sizes in bytes cannot overflow. */
const maxElements = 2 ** 31 - 1;

/** A value has at most this many elements plus 1,024 times those of the inputs and the file: a small file must not fill memory. */
const maxMade = 2 ** 26;

/** Constants with at most this many elements are computed even if they are much larger than their inputs. */
const smallConstant = 2 ** 20;

/** Computed constants have at most this many elements plus eight times those of the file: small files must not fill memory. */
const maxComputed = 2 ** 24;

/**
 * Returns the graph for inputs of these dims: types and dims of all values are known, and values that depend only on dims and
 * constants are constants. Instead of an If there is the branch that it takes. Values of removed nodes may stay in the maps.
 *
 * @param chosen The branches that have been taken, for the caller to see.
 * @throws {QARepVGGError} ERR_SHAPE naming the node whose inputs do not fit; ERR_MODEL_INCOMPATIBLE where a shape depends on
 * data; ERR_LIMIT for values that are much larger than inputs and file or have 2^31 elements, and for such constants.
 */
export function specialize(graph: Graph, inputs: InputDims, chosen?: Map<GraphNode, Branch>): Graph {
  return atOnce(specializeSteps(graph, inputs, chosen));
}

/** Same as {@link specialize}, in steps. */
export function* specializeSteps(graph: Graph, inputs: InputDims, chosen?: Map<GraphNode, Branch>): Steps<Graph> {
  const tensors = new Map(graph.tensors);
  const values = new Map<string, ValueType<number>>();
  for (const { name, type } of graph.inputs) values.set(name, { type, dims: inputs.get(name) as readonly number[] });
  const nodes: GraphNode[] = [];
  let left = constantsLimit(graph);
  const given = [...values.values(), ...tensors.values()];
  const most = Math.min(maxElements, maxMade + 1024 * elementsOf(given));
  for (const node of takenNodes(graph.nodes, tensors, chosen)) {
    yield;
    const view = nodeView(node, values, tensors);
    const outputs = opOf(node).infer(view);
    outputs.forEach((output, i) => {
      checkSize(output, most, view);
      if (node.outputs[i]) values.set(node.outputs[i], output);
    });
    const folded = fold(view, outputs, left);
    if (folded) left -= elementsOf(outputs);
    folded?.forEach((tensor, i) => {
      if (node.outputs[i]) tensors.set(node.outputs[i], tensor);
    });
    if (folded === undefined) nodes.push(node);
  }
  for (const [name, { type, dims }] of tensors) values.set(name, { type, dims });
  return { ...graph, nodes, tensors, values };
}

/** A node with what is known about its inputs. */
export function nodeView(
  node: GraphNode,
  values: ReadonlyMap<string, ValueType>,
  tensors: ReadonlyMap<string, GraphTensor>,
): OpNode {
  const operandOf = (name: string): Operand | undefined => {
    if (name === '') return undefined;
    const tensor = tensors.get(name);
    if (tensor) return { type: tensor.type, dims: tensor.dims, tensor };
    return values.get(name) as ValueType<number>;
  };
  return new NodeView(node, node.inputs.map(operandOf));
}

/** A node with its inputs. Its place is put together when a message names it. */
export class NodeView<Input extends ValueType> {
  readonly attributes: GraphNode['attributes'];

  constructor(
    readonly node: GraphNode,
    readonly inputs: readonly (Input | undefined)[],
  ) {
    this.attributes = node.attributes;
  }

  get place(): string {
    return placeOf(this.node);
  }
}

/** What messages call a node. */
export function placeOf(node: GraphNode): string {
  return `node ${quote(node.name)} (${opOf(node).onnx || node.op})`;
}

/** @throws {QARepVGGError} ERR_LIMIT if the outputs must be constants but have more than `left` elements. */
function fold(view: OpNode, outputs: readonly ValueType<number>[], left: number): readonly GraphTensor[] | undefined {
  const { evaluate, dimsOnly, lower } = opOf(view.node);
  if (!evaluate || view.node.activation) return undefined;
  if (!dimsOnly && !view.inputs.every((input) => input === undefined || input.tensor)) return undefined;
  const count = elementsOf(outputs);
  if (count > Math.max(smallConstant, 4 * elementsOf(view.inputs))) return undefined;
  if (count <= left) return evaluate(view);
  if (lower) return undefined;
  throw mismatch('ERR_LIMIT', view.place, `at most ${left} more elements in computed constants`, String(count));
}

/** How many elements all computed constants of a graph may have. */
export function constantsLimit({ tensors }: Graph): number {
  return maxComputed + 8 * elementsOf([...tensors.values()]);
}

export function elementsOf(types: readonly (ValueType<number> | undefined)[]): number {
  return types.reduce((sum, type) => sum + (type ? sizeOf(type.dims) : 0), 0);
}

function checkSize({ dims }: ValueType<number>, most: number, node: OpNode): void {
  if (dims.some((dim) => !(dim >= 0))) throw mismatch('ERR_SHAPE', node.place, 'dims from 0', describeList(dims));
  if (sizeOf(dims) <= most) return;
  throw mismatch('ERR_LIMIT', node.place, `at most ${most} elements in a value`, `dims ${describeList(dims)}`);
}
