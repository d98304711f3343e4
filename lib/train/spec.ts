import type { CustomL2Block, StateRange, TrainerSpec } from '../../binding';
import type { Layer } from '../nn/blocks/layers';
import type { BlockStructure } from '../nn/blocks/structure';
import type { Definition } from '../nn/core';
import { nativeGraph } from '../nn/native-graph';
import type { Slot, Store } from '../nn/state/state';
import { wrongOption } from '../options';
import { byteScaling, type Preprocessing } from '../preprocessing';
import type { CheckedTrainerOptions } from './options';

/** Describes a network to the native trainer, except for the dims of its input. */
export function trainerSpec(
  definition: Definition,
  layers: readonly Layer[],
  options: CheckedTrainerOptions & { readonly customL2: boolean },
  preprocessing: Preprocessing,
): Omit<TrainerSpec, 'input'> {
  const { store } = definition;
  const { optimizer, momentum, nesterov, beta2, epsilon, labelSmoothing, clipNorm, threads } = options;
  const trained = store.slots.filter(({ kind }) => kind === 'parameter');
  const customL2 = options.customL2 ? layers.flatMap((layer) => customL2Of(layer, store)) : [];
  const excepted = new Set(customL2.flatMap(({ weight3x3, weight1x1 }) => [weight3x3, weight1x1]));
  // Weights have several dims; biases, batch norms and alpha have one.
  const decayed = trained.filter(({ dims, offset }) => dims.length > 1 && !excepted.has(offset));
  return {
    ...nativeGraph(definition),
    ...(threads !== undefined && { threads }),
    optimizer,
    momentum,
    nesterov,
    beta2,
    epsilon,
    labelSmoothing,
    clipNorm: clipNorm ?? 0,
    parameters: trained.map(rangeOf),
    decayed: decayed.map(rangeOf),
    customL2,
    ...byteScaling(preprocessing),
  };
}

function rangeOf({ offset, size }: Slot): StateRange {
  return { offset, length: size };
}

function customL2Of(layer: Layer, store: Store): CustomL2Block[] {
  if (layer.kind !== 'block') return [];
  const { outChannels, inChannels, groups, eps } = layer.block.shape;
  const [dense, pointwise] = [branchOf(layer.block, 3, store), branchOf(layer.block, 1, store)];
  return [
    {
      outChannels,
      depth: inChannels / groups,
      eps,
      weight3x3: dense.weight,
      gamma3x3: dense.gamma,
      var3x3: dense.variance,
      weight1x1: pointwise.weight,
      gamma1x1: pointwise.gamma,
      var1x1: pointwise.variance,
    },
  ];
}

function branchOf({ branches }: BlockStructure, kernel: 1 | 3, store: Store) {
  const branch = branches.find((candidate) => candidate.kind === 'conv' && candidate.kernel === kernel);
  if (branch?.kind !== 'conv' || branch.batchNorm === undefined) {
    const expected = 'false for blocks without a batch norm on both the 3x3 and the 1x1';
    throw wrongOption('customL2', expected, 'true');
  }
  const offset = (name: string): number => store.slot(name).offset;
  return {
    weight: offset(branch.weight),
    gamma: offset(`${branch.batchNorm}.weight`),
    variance: offset(`${branch.batchNorm}.running_var`),
  };
}
