import type { Op, ProgramSpec, ValueId } from '../../binding';
import type { ValueType } from '../graph/graph';
import { lowerNode, type NamedNode } from '../graph/lower';
import type { Definition } from './core';
import { inputName } from './graph';
import type { Store } from './state/state';

/** The part of a program's spec that says what to compute. */
export type NativeGraph = Pick<ProgramSpec, 'ops'>;

type Values = ReadonlyMap<string, ValueType>;

/** Lowering asks no more of an image than its rank, so the result serves images of any size. */
const image: ValueType = { type: 'float32', dims: [1, 1, 1, 1] };

/** Describes to the native side what a module computes. Its tensors are named by their offsets. */
export function nativeGraph({ graph, store }: Pick<Definition, 'graph' | 'store'>): NativeGraph {
  const names = [inputName, ...graph.nodes.flatMap(({ outputs }) => outputs)];
  const ids = new Map(names.map((name, i) => [name, i]));
  const values: Values = new Map([...graph.values, ...names.map((name) => [name, image] as const)]);
  return {
    ops: graph.nodes.map((node) => opOf(lowerNode(node, { tensors: graph.tensors, values }), ids, values, store)),
  };
}

function opOf(
  { op, inputs, attributes }: NamedNode,
  ids: ReadonlyMap<string, ValueId>,
  values: Values,
  store: Store,
): Op {
  const [x = '', ...others] = inputs;
  const input = ids.get(x) as number;
  const offset = (i: number): number => store.slot(others[i] as string).offset;
  const rows = (): number => values.get(others[0] as string)?.dims[0] as number;
  const activation = attributes.activation === 'relu' ? 'relu' : 'none';
  const first = (name: string): number => (attributes[name] as number[])[0] as number;
  switch (op) {
    case 'conv':
      return {
        op: 'conv',
        input,
        outChannels: rows(),
        kernel: first('kernel'),
        stride: first('strides'),
        padding: first('pads'),
        dilation: first('dilations'),
        groups: attributes.group as number,
        weight: offset(0),
        ...(others[1] && { bias: offset(1) }),
        ...(others[2] && { identity: true }),
        activation,
      };
    case 'batchNorm':
      return {
        op: 'batchNorm',
        input,
        ...(others[5] && { addend: ids.get(others[5]) as number }),
        eps: attributes.epsilon as number,
        momentum: attributes.momentum as number,
        weight: offset(0),
        bias: offset(1),
        runningMean: offset(2),
        runningVar: offset(3),
        batches: offset(4),
        activation,
      };
    case 'sum':
      return { op: 'add', inputs: inputs.map((name) => ids.get(name) as number), activation };
    case 'scale':
      return { op: 'scale', input, factor: offset(0) };
    case 'averagePool':
      return { op: 'averagePool', input };
    case 'globalPool':
      return { op: 'globalAverage', input };
    default:
      return {
        op: 'squeezeExcite',
        input,
        reduced: rows(),
        downWeight: offset(0),
        downBias: offset(1),
        upWeight: offset(2),
        upBias: offset(3),
        activation,
      };
  }
}
