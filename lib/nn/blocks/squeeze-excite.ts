import type { SlotSpec } from '../state/state';

/** A squeeze-and-excitation (arXiv 1709.01507): every channel times a gate that depends on the means of all channels. */
export interface SqueezeExcite {
  /** Prefix of its tensors. */
  readonly name: string;
  /** Outputs of the first of the two linear layers. */
  readonly reduced: number;
}

/** Its four tensors, in the order of the state. */
export const squeezeExciteNames = ['downWeight', 'downBias', 'upWeight', 'upBias'] as const;

/** Something for each of the four tensors of a squeeze-and-excitation. */
export type SqueezeExciteTensors<T> = Readonly<Record<(typeof squeezeExciteNames)[number], T>>;

export function squeezeExciteSlots({ name, reduced }: SqueezeExcite, channels: number): SlotSpec[] {
  // The two linear layers are 1x1 convolutions in PyTorch.
  const dims = {
    'down.weight': [reduced, channels, 1, 1],
    'down.bias': [reduced],
    'up.weight': [channels, reduced, 1, 1],
    'up.bias': [channels],
  };
  return Object.entries(dims).map(([key, of]) => ({ name: `${name}.${key}`, dims: of, kind: 'parameter' }));
}
