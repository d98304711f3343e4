import type { TrainedActivation } from '../../../binding';
import type { Nodes } from '../nodes';
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

/** The names of its tensors in the state. */
export function squeezeExciteKeys({ name }: SqueezeExcite): SqueezeExciteTensors<string> {
  return {
    downWeight: `${name}.down.weight`,
    downBias: `${name}.down.bias`,
    upWeight: `${name}.up.weight`,
    upBias: `${name}.up.bias`,
  };
}

/** PyTorch's dims: the two linear layers are 1x1 convolutions there. */
export function squeezeExciteDims(channels: number, reduced: number): SqueezeExciteTensors<readonly number[]> {
  return {
    downWeight: [reduced, channels, 1, 1],
    downBias: [reduced],
    upWeight: [channels, reduced, 1, 1],
    upBias: [channels],
  };
}

export function squeezeExciteSlots(excite: SqueezeExcite, channels: number): SlotSpec[] {
  const [keys, dims] = [squeezeExciteKeys(excite), squeezeExciteDims(channels, excite.reduced)];
  return squeezeExciteNames.map((name) => ({ name: keys[name], dims: dims[name], kind: 'parameter' }));
}

export function lowerSqueezeExcite(
  excite: SqueezeExcite,
  nodes: Nodes,
  input: number,
  activation: TrainedActivation,
): void {
  const keys = squeezeExciteKeys(excite);
  const tensors = squeezeExciteNames.map((name) => nodes.tensor(keys[name]));
  nodes.push('squeezeExcite', excite.name, [input, ...tensors], { activation });
}
