import type { SqueezeExciteOp, ValueId } from '../../../binding';
import type { SlotSpec, Store } from '../state/state';

/** A squeeze-and-excitation (arXiv 1709.01507): every channel times a gate that depends on the means of all channels. */
export interface SqueezeExcite {
  /** Prefix of its tensors. */
  readonly name: string;
  /** Outputs of the first of the two linear layers. */
  readonly reduced: number;
}

/** Its tensors, with PyTorch's dims: the two linear layers are 1x1 convolutions there. */
export function squeezeExciteSlots({ name, reduced }: SqueezeExcite, channels: number): SlotSpec[] {
  return [
    { name: `${name}.down.weight`, dims: [reduced, channels, 1, 1], kind: 'parameter' },
    { name: `${name}.down.bias`, dims: [reduced], kind: 'parameter' },
    { name: `${name}.up.weight`, dims: [channels, reduced, 1, 1], kind: 'parameter' },
    { name: `${name}.up.bias`, dims: [channels], kind: 'parameter' },
  ];
}

export function squeezeExciteOp(
  { name, reduced }: SqueezeExcite,
  store: Store,
  input: ValueId,
  relu: boolean,
): SqueezeExciteOp {
  const offset = (part: string): number => store.slot(`${name}.${part}`).offset;
  return {
    op: 'squeezeExcite',
    input,
    reduced,
    downWeight: offset('down.weight'),
    downBias: offset('down.bias'),
    upWeight: offset('up.weight'),
    upBias: offset('up.bias'),
    relu,
  };
}
