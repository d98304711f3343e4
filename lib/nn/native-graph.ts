import type { Op, ProgramSpec, ValueId } from '../../binding';
import { lowerNode, type NamedNode } from '../graph/lower';
import type { Definition } from './core';
import { inputName, valuesFor } from './graph';
import type { Store } from './state/state';

/** The part of a program's spec that says what to compute. */
export type NativeGraph = Pick<ProgramSpec, 'input' | 'ops'>;

/** Describes to the native side what a module computes for images [n, c, h, w]. Its tensors are named by their offsets. */
export function nativeGraph(
  { graph, store }: Pick<Definition, 'graph' | 'store'>,
  input: readonly number[],
): NativeGraph {
  const plan = { tensors: graph.tensors, values: valuesFor(graph, input) };
  const ids = new Map<string, ValueId>([[inputName, 0]]);
  const ops = graph.nodes.map((node, i) => {
    ids.set(node.outputs[0] as string, i + 1);
    return opOf(lowerNode(node, plan), ids, plan.values, store);
  });
  return { input, ops };
}

function opOf(
  { op, inputs, attributes }: NamedNode,
  ids: Map<string, ValueId>,
  values: ReturnType<typeof valuesFor>,
  store: Store,
): Op {
  const [x = '', ...others] = inputs;
  const input = ids.get(x) as number;
  const offset = (i: number): number => store.slot(others[i] as string).offset;
  const dims = (i: number): readonly number[] => values.get(others[i] as string)?.dims ?? [];
  const activation = attributes.activation === 'relu' ? 'relu' : 'none';
  const first = (name: string): number => (attributes[name] as number[])[0] as number;
  switch (op) {
    case 'conv':
      return {
        op: 'conv',
        input,
        outChannels: dims(0)[0] as number,
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
        reduced: dims(0)[0] as number,
        downWeight: offset(0),
        downBias: offset(1),
        upWeight: offset(2),
        upBias: offset(3),
        activation,
      };
  }
}
