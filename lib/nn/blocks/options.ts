import { maxChannels, maxHalo } from '../../limits';
import {
  boolean,
  type Field,
  integer,
  number,
  oneOf,
  type Parsed,
  parseOptions,
  positive,
  seedField,
  wrongOption,
} from '../../options';
import type { Variant } from './variants';

/** Options of blocks. */
export interface BlockOptions<V extends Variant = Variant> {
  /** From 1 to 65536. */
  readonly inChannels: number;
  /** From 1 to 65536. */
  readonly outChannels: number;
  /** @default 1 */
  readonly stride?: 1 | 2;
  /** Distance between the 3x3 kernel's taps, and its padding, in pixels, 1 to 256. @default 1 */
  readonly dilation?: number;
  /** Must divide both channel counts. @default 1 */
  readonly groups?: number;
  /** Applied to the sum of the branches, after its batch norm. @default 'relu' */
  readonly activation?: 'relu' | 'none';
  /** Added to variances before the square root; above 0 and up to 1. @default 1e-5 */
  readonly eps?: number;
  /** Weight of the latest batch in running statistics, 0 to 1. @default 0.1 */
  readonly momentum?: number;
  /** @default 'S4' for QARepVGGBlock, 'S1' for RepVGGBlock */
  readonly variant?: V;
  /**
   * Add the input to the branches where dims allow: `outChannels` equals `inChannels` and `stride` is 1. `false` makes a block
   * without residual connection, as super-gradients has it; its tensors have the same names. @default true
   */
  readonly identity?: boolean;
  /** A bias on the 1x1 (super-gradients). @default false */
  readonly pointwiseBias?: boolean;
  /** A learnable number that multiplies the 1x1 and its bias (super-gradients). @default false */
  readonly alpha?: boolean;
  /** A 3x3 average pool beside the identity, where there is one (YOLOv6's V2); needs dilation 1. @default false */
  readonly averageBranch?: boolean;
  /** Seed of the initial weights. @default 0 */
  readonly seed?: number;
}

/** Checked options with their defaults filled in. */
export type CheckedBlockOptions<V extends Variant = Variant> = Required<BlockOptions<V>>;

/** @throws {QARepVGGError} ERR_INVALID_ARG naming the option. */
export function checkBlockOptions<V extends Variant>(variant: Field<V>, options: unknown) {
  const checked: Parsed<ReturnType<typeof fieldsWith<V>>> = parseOptions(fieldsWith(variant), options);
  checkGroups(checked);
  if (checked.averageBranch && checked.dilation !== 1) {
    // A dilated 3x3 has no taps at the pixels that the average reads, so the two cannot be fused.
    throw wrongOption('averageBranch', 'false when dilation is not 1', 'true');
  }
  checkBranches(checked);
  return Object.freeze(checked) as CheckedBlockOptions<V>;
}

/** The average pool stands beside the identity. @throws {QARepVGGError} ERR_INVALID_ARG where there is none. */
export function checkBranches(options: { averageBranch: boolean; identity: boolean }): void {
  if (options.identity || !options.averageBranch) return;
  throw wrongOption('averageBranch', 'false when identity is false', 'true');
}

/** @throws {QARepVGGError} ERR_INVALID_ARG when `groups` does not divide both channel counts. */
export function checkGroups({
  groups,
  inChannels,
  outChannels,
}: {
  groups: number;
  inChannels: number;
  outChannels: number;
}): void {
  if (inChannels % groups === 0 && outChannels % groups === 0) return;
  const expected = `a divisor of inChannels ${inChannels} and outChannels ${outChannels}`;
  throw wrongOption('groups', expected, String(groups));
}

function fieldsWith<V extends Variant>(variant: Field<V>) {
  return {
    inChannels: integer(1, maxChannels),
    outChannels: integer(1, maxChannels),
    stride: oneOf([1, 2], 1),
    dilation: integer(1, maxHalo, 1),
    groups: integer(1, maxChannels, 1),
    activation: oneOf(['relu', 'none'], 'relu'),
    eps: positive(1, 1e-5),
    momentum: number(0, 1, 0.1),
    variant,
    identity: boolean(true),
    pointwiseBias: boolean(false),
    alpha: boolean(false),
    averageBranch: boolean(false),
    seed: seedField,
  };
}
