import type { TrainedActivation } from '../../binding';
import type { Attributes, Graph, GraphNode, ValueType } from '../graph/graph';
import { nodeOf } from '../graph/rewriter';
import type { SlotSpec, Store } from './state/state';

/** Names of the input and of the output of every module of this package. */
export const inputName = 'input';
export const outputName = 'logits';

/** Sizes of a square window in pixels, from the options of blocks and convolutions. */
export interface SquareWindow {
  readonly kernel: number;
  readonly stride?: number;
  readonly padding?: number;
  readonly dilation?: number;
}

/** The attributes of a node with such a window. What comes after options reads these. */
export function squareWindow({ kernel, stride = 1, padding = 0, dilation = 1 }: SquareWindow): Attributes {
  return {
    dilations: [dilation, dilation],
    kernel_shape: [kernel, kernel],
    pads: [padding, padding, padding, padding],
    strides: [stride, stride],
  };
}

/** A node with one output, which has its name. */
export function namedNode(
  name: string,
  op: string,
  inputs: readonly string[],
  attributes?: Attributes,
  activation: TrainedActivation = 'none',
): GraphNode {
  const node = nodeOf({ name, outputs: [name] }, op, inputs, attributes);
  return activation === 'none' ? node : { ...node, activation: { kind: activation } };
}

/**
 * The graph of nodes for images of any size; the last one makes the output. It has no numbers: the tensors of the state are
 * among its `values`, under their names in the state dict.
 *
 * @param slots Tensors of the state.
 */
export function graphOf(nodes: readonly GraphNode[], inChannels: number, slots: readonly SlotSpec[]): Graph {
  const state = new Map(slots.map(({ name, dims }) => [name, dims]));
  const values = new Map<string, ValueType>();
  let channels = inChannels;
  for (const { op, inputs } of nodes) {
    for (const name of inputs) {
      const dims = state.get(name);
      if (dims) values.set(name, { type: 'float32', dims: operandDims(op, dims) });
    }
    if (op === 'conv') channels = values.get(inputs[1] as string)?.dims[0] as number;
  }
  values.set(outputName, { type: 'float32', dims: ['N', channels, 'H_out', 'W_out'] });
  return {
    inputs: [{ name: inputName, type: 'float32', dims: ['N', inChannels, 'H', 'W'] }],
    outputs: [outputName],
    nodes: nodes.map((node, i) => (i === nodes.length - 1 ? { ...node, outputs: [outputName] } : node)),
    tensors: new Map(),
    values,
  };
}

/**
 * Dims of a tensor as a node reads it. In the state, a linear layer has a matrix though it is a convolution of one pixel, and a
 * squeeze-and-excitation has convolutions though it multiplies by matrices.
 */
export function operandDims(op: string, dims: readonly number[]): readonly number[] {
  if (op === 'squeezeExcite') return dims.slice(0, 2);
  return op === 'conv' && dims.length === 2 ? [...dims, 1, 1] : dims;
}

/** The same graph with numbers: its tensors are views of the state. */
export function withNumbers(graph: Graph, store: Store): Graph {
  const values = graph.values as ReadonlyMap<string, ValueType<number>>;
  const own = [...values].filter(([name]) => store.has(name));
  const tensors = new Map(own.map(([name, { type, dims }]) => [name, { type, dims, data: store.view(name) }]));
  return { ...graph, tensors };
}
