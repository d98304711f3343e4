import type { GraphArray, GraphConstant, GraphSpec, GraphValue, GraphNode as NativeNode } from '../../binding';
import { mismatch } from '../errors';
import type { Activation, Graph, GraphNode, GraphTensor, ValueType } from './graph';
import { opOf } from './ops';
import { scalingOf } from './scaled-tensor';
import { nodeView } from './specialize';

type Plan = Pick<GraphSpec, 'inputs' | 'constants' | 'nodes' | 'outputs'>;

/**
 * Turns an optimised graph into what the engine takes: values are numbered, and parameters are attributes.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE naming a node that the engine does not compute.
 */
export function lowerGraph(graph: Graph): Plan {
  const lowered = graph.nodes.map((node) => lowerNode(node, graph));
  const read = new Set([...lowered.flatMap(({ inputs }) => inputs), ...graph.outputs]);
  const constants = [...graph.tensors].filter(([name]) => read.has(name));
  const names = [
    ...graph.inputs.map(({ name }) => name),
    ...constants.map(([name]) => name),
    ...graph.nodes.flatMap(({ outputs }) => outputs),
  ];
  const numbers = new Map(names.map((name, i): [string, GraphValue] => [name, i]));
  const numberOf = (name: string): GraphValue => (name === '' ? -1 : (numbers.get(name) as GraphValue));
  const typeOf = (name: string): ValueType<number> => {
    const { type, dims } = graph.values.get(name) as ValueType<number>;
    return { type, dims };
  };
  return {
    inputs: graph.inputs.map(({ name }) => typeOf(name)),
    constants: constants.map(([, tensor]) => constantOf(tensor)),
    nodes: lowered.map(({ inputs, outputs, ...node }) => ({
      ...node,
      inputs: inputs.map(numberOf),
      outputs: outputs.map(typeOf),
    })),
    outputs: graph.outputs.map(numberOf),
  };
}

function constantOf(tensor: GraphTensor): GraphConstant {
  const { type, dims } = tensor;
  const scaling = scalingOf(tensor);
  return scaling
    ? { type, dims, data: scaling.source, factors: scaling.factors }
    : { type, dims, data: tensor.data as GraphArray };
}

/** A native node with the names of its values. */
export interface NamedNode extends Pick<NativeNode, 'op' | 'name' | 'attributes'> {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE naming a node that the engine does not compute. */
export function lowerNode(node: GraphNode, graph: Pick<Graph, 'tensors' | 'values'>): NamedNode {
  const view = nodeView(node, graph.values, graph.tensors);
  const lowered = opOf(node).lower?.(view);
  if (!lowered) throw mismatch('ERR_MODEL_INCOMPATIBLE', view.place, 'a node that the engine computes', 'another one');
  const { op, inputs = node.inputs.map((_, i) => i), attributes } = lowered;
  return {
    op,
    name: node.name,
    inputs: inputs.map((i) => node.inputs[i] as string),
    outputs: node.outputs,
    attributes: { ...attributes, ...(node.activation && activationAttributes(node.activation)) },
  };
}

/** { activation: 'clip', 'activation.low': 0, ... } */
function activationAttributes({ kind, ...parameters }: Activation): NativeNode['attributes'] {
  const named = Object.entries(parameters).map(([name, value]) => [`activation.${name}`, value as number]);
  return { activation: kind, ...Object.fromEntries(named) };
}
