import { type ArchitectureName, createModel, type Network, type NetworkOptions } from '../../lib';
import { randomState, type Spread } from './blocks';

const spread: Spread = { minVariance: 0.5, maxVariance: 2 };

/** Options of a network that is quick to compute and has all that networks have: stages, identities, strides. */
export const tiny = {
  numClasses: 5,
  inChannels: 2,
  inputSize: 17,
  blocks: [2, 1, 2, 1],
  channels: [4, 4, 8, 12, 16],
} satisfies NetworkOptions;

/** Options of a network with layers of the widths that kernels are made for. */
export const smallOptions = {
  numClasses: 10,
  inChannels: 3,
  inputSize: 32,
  blocks: [1, 2, 2, 1],
  channels: [16, 16, 32, 64, 96],
} satisfies NetworkOptions;

/** A network in eval mode whose every tensor is random: nothing is left at the 0 or 1 of initialisation. */
export function randomNetwork(name: ArchitectureName, options: NetworkOptions = tiny, seed = 1): Network {
  const model = createModel(name, options).eval();
  model.loadStateDict(randomState(model.stateDict(), seed, spread));
  return model;
}

/** As {@link randomNetwork}, in deploy form. */
export function deployNetwork(name: ArchitectureName = 'qarepvgg_a0', options: NetworkOptions = smallOptions): Network {
  return randomNetwork(name, options).switchToDeploy();
}
