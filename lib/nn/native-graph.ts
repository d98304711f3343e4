import type { ProgramNode, ProgramSpec } from '../../binding';
import type { ValueType } from '../graph/graph';
import { lowerNode, type NamedNode } from '../graph/lower';
import type { Definition } from './core';
import { inputName } from './graph';

/** Lowering asks no more of an image than its rank. */
const image: ValueType = { type: 'float32', dims: [1, 1, 1, 1] };

/** Describes to the native side what a module computes for images of any size. Its tensors are named by their offsets. */
export function nativeGraph({ graph, store }: Definition): Pick<ProgramSpec, 'tensors' | 'nodes' | 'stateLength'> {
  const { nodes, tensors, values } = graph();
  const state = [...values].filter(([name]) => store.has(name)) as [string, ValueType<number>][];
  const images = nodes.flatMap(({ outputs }) => outputs);
  const numbers = new Map([inputName, ...state.map(([name]) => name), ...images].map((name, i) => [name, i]));
  const known = new Map([...state, ...[inputName, ...images].map((name) => [name, image] as const)]);
  return {
    tensors: state.map(([name, { dims }]) => ({ offset: store.slot(name).offset, dims })),
    nodes: nodes.map((node) => trainedNode(lowerNode(node, { tensors, values: known }), numbers)),
    stateLength: store.values.length,
  };
}

function trainedNode({ op, name, inputs, attributes }: NamedNode, numbers: ReadonlyMap<string, number>): ProgramNode {
  const { outputSize: _, ...own } = attributes ?? {};
  // In a block, nothing but its input is added to a convolution.
  const identity = op === 'conv' && inputs.length > 3;
  const operands = inputs.slice(0, identity ? 3 : inputs.length).map((value) => numbers.get(value) ?? -1);
  return { op, name, inputs: operands, attributes: identity ? { ...own, identity } : own };
}
