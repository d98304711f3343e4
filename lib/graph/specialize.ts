import { describeList, mismatch, quote } from '../errors';
import { atOnce, type Steps } from '../slices';
import { type Graph, type GraphNode, type GraphTensor, sizeOf, type ValueType } from './graph';
import { opOf } from './ops';
import type { Operand, OpNode } from './ops/op';

/** Dims of the inputs of a run, by name. */
export type InputDims = ReadonlyMap<string, readonly number[]>;

/** Most elements of a value; with them, sizes in bytes stay far from overflow. */
const maxElements = 2 ** 31 - 1;

/** Constants of up to so many elements are computed even where they are much larger than what they are made of. */
const smallConstant = 2 ** 20;

/** Elements that all computed constants may have beside eight times those of the file: a small file must not fill the memory. */
const maxComputed = 2 ** 24;

/**
 * The graph for inputs of these dims: types and dims of all values are known, and what follows from them and from constants
 * alone is a constant. Values of nodes that are gone may stay in the maps.
 *
 * @throws {QARepVGGError} ERR_SHAPE naming the node whose inputs do not fit; ERR_MODEL_INCOMPATIBLE where a shape depends on
 * data; ERR_LIMIT for values of 2^31 elements and more, and for constants that are much larger than the file.
 */
export function specialize(graph: Graph, inputs: InputDims, where: string): Graph {
  return atOnce(specializeSteps(graph, inputs, where));
}

/** As {@link specialize}, in steps. */
export function* specializeSteps(graph: Graph, inputs: InputDims, where: string): Steps<Graph> {
  const tensors = new Map(graph.tensors);
  const values = new Map<string, ValueType<number>>();
  for (const { name, type } of graph.inputs) values.set(name, { type, dims: inputs.get(name) as readonly number[] });
  const nodes: GraphNode[] = [];
  let left = maxComputed + 8 * elementsOf([...graph.tensors.values()]);
  for (const node of graph.nodes) {
    yield;
    const view = nodeView(node, values, tensors, where);
    const outputs = opOf(node).infer(view);
    outputs.forEach((output, i) => {
      checkSize(output, view.where);
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

/** A node with what is known of its inputs. */
export function nodeView(
  node: GraphNode,
  values: ReadonlyMap<string, ValueType>,
  tensors: ReadonlyMap<string, GraphTensor>,
  where: string,
): OpNode {
  const operandOf = (name: string): Operand | undefined => {
    if (name === '') return undefined;
    const tensor = tensors.get(name);
    if (tensor) return { type: tensor.type, dims: tensor.dims, tensor };
    return values.get(name) as ValueType<number>;
  };
  const place = `${where}, node ${quote(node.name)} (${opOf(node).onnx || node.op})`;
  return { node, attributes: node.attributes, inputs: node.inputs.map(operandOf), where: place };
}

/** @throws {QARepVGGError} ERR_LIMIT where only a constant will do, of more elements than are left. */
function fold(view: OpNode, outputs: readonly ValueType<number>[], left: number): readonly GraphTensor[] | undefined {
  const { evaluate, dimsOnly, lower } = opOf(view.node);
  if (!evaluate || view.node.activation) return undefined;
  if (!dimsOnly && !view.inputs.every((input) => input === undefined || input.tensor)) return undefined;
  const count = elementsOf(outputs);
  if (count > Math.max(smallConstant, 4 * elementsOf(view.inputs))) return undefined;
  if (count <= left) return evaluate(view);
  if (lower) return undefined;
  throw mismatch('ERR_LIMIT', view.where, `at most ${left} more elements in computed constants`, String(count));
}

function elementsOf(types: readonly (ValueType<number> | undefined)[]): number {
  return types.reduce((sum, type) => sum + (type ? sizeOf(type.dims) : 0), 0);
}

function checkSize({ dims }: ValueType<number>, where: string): void {
  if (sizeOf(dims) > maxElements) {
    throw mismatch('ERR_LIMIT', where, `at most ${maxElements} elements in a value`, `dims ${describeList(dims)}`);
  }
}
