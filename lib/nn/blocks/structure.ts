import type { SlotSpec } from '../state/state';
import type { CheckedBlockOptions } from './options';
import { type SqueezeExcite, squeezeExciteSlots } from './squeeze-excite';
import { hasNorm } from './variants';

/**
 * - 'train': all branches.
 * - 'partial': the branches folded into one convolution, the batch norm after them kept. It can still be trained.
 * - 'deploy': one convolution.
 */
export type Form = 'train' | 'partial' | 'deploy';

/** The forms that blocks of a variant have, in the order in which a block takes them. */
export function formsOf({ variant }: Pick<BlockShape, 'variant'>): readonly Form[] {
  return hasNorm(variant, 'sum') ? ['train', 'partial', 'deploy'] : ['train', 'deploy'];
}

/** What a structure is made from: the options of a block, and those that only networks use. */
export interface BlockShape extends CheckedBlockOptions {
  /** Squeeze-and-excitation with a sixteenth of the channels inside, between the last batch norm and the ReLU. */
  readonly squeezeExcite?: boolean;
}

/**
 * What one block computes: a sum of branches, then perhaps a batch norm, a squeeze-and-excitation and an activation.
 *
 * Every form of a block is a structure: the train form has several branches, the deploy form a single plain convolution.
 * State, graph and fusion are all derived from it, so they cannot disagree. Strings are tensor names in the 'official'
 * layout.
 */
export interface BlockStructure {
  readonly shape: BlockShape;
  readonly branches: readonly Branch[];
  /** Batch norm over the sum of the branches. */
  readonly postBatchNorm?: string;
  readonly squeezeExcite?: SqueezeExcite;
}

export type Branch =
  | ConvBranch
  | { readonly kind: 'identity'; readonly batchNorm?: string | undefined }
  /** 3x3 average pool; zeros of the padding count in the mean. */
  | { readonly kind: 'average'; readonly batchNorm?: undefined };

export interface ConvBranch {
  readonly kind: 'conv';
  readonly kernel: 1 | 3;
  readonly weight: string;
  readonly bias?: string | undefined;
  /** A learnable number that multiplies the convolution and its bias. */
  readonly scale?: string | undefined;
  readonly batchNorm?: string | undefined;
}

/** The convolution that the branches fold into. */
export type FusedBranch = ConvBranch & { readonly bias: string };

/**
 * Returns what a block computes in the given form.
 *
 * @param prefix Precedes the name of every tensor: "stage1.0.", or nothing.
 */
export function structureOf(shape: BlockShape, form: Form, prefix = ''): BlockStructure {
  const keepPost = hasNorm(shape.variant, 'sum') && form !== 'deploy';
  return {
    shape,
    branches: form === 'train' ? trainBranches(shape, prefix) : [fusedBranch(prefix)],
    ...(keepPost && { postBatchNorm: `${prefix}bn` }),
    ...(shape.squeezeExcite && { squeezeExcite: { name: `${prefix}se`, reduced: reducedOf(shape.outChannels) } }),
  };
}

function reducedOf(channels: number): number {
  return Math.max(1, Math.floor(channels / 16));
}

function fusedBranch(prefix: string): FusedBranch {
  return { kind: 'conv', kernel: 3, weight: `${prefix}rbr_reparam.weight`, bias: `${prefix}rbr_reparam.bias` };
}

function trainBranches(options: BlockShape, prefix: string): Branch[] {
  const { variant, inChannels, outChannels, stride, identity, pointwiseBias, alpha, averageBranch } = options;
  const pointwiseNorm = hasNorm(variant, 'pointwise');
  // PyTorch nests convolution and batch norm in one module, where there is a batch norm.
  const pointwise = `${prefix}rbr_1x1${pointwiseNorm ? '.conv' : ''}`;

  const branches: Branch[] = [
    { kind: 'conv', kernel: 3, weight: `${prefix}rbr_dense.conv.weight`, batchNorm: `${prefix}rbr_dense.bn` },
    {
      kind: 'conv',
      kernel: 1,
      weight: `${pointwise}.weight`,
      bias: pointwiseBias ? `${pointwise}.bias` : undefined,
      scale: alpha ? `${prefix}alpha` : undefined,
      batchNorm: pointwiseNorm ? `${prefix}rbr_1x1.bn` : undefined,
    },
  ];
  if (identity && inChannels === outChannels && stride === 1) {
    branches.push({ kind: 'identity', batchNorm: hasNorm(variant, 'identity') ? `${prefix}rbr_identity` : undefined });
    if (averageBranch) branches.push({ kind: 'average' });
  }
  return branches;
}

/** The tensors of a block, in the order in which PyTorch lists them. */
export function slotsOf({ shape, branches, postBatchNorm, squeezeExcite }: BlockStructure): SlotSpec[] {
  return [
    ...branches.flatMap((branch) => [
      ...(branch.kind === 'conv' ? convSlots(shape, branch) : []),
      ...batchNormSlots(shape, branch.batchNorm),
    ]),
    ...batchNormSlots(shape, postBatchNorm),
    ...(squeezeExcite ? squeezeExciteSlots(squeezeExcite, shape.outChannels) : []),
  ];
}

function convSlots(shape: BlockShape, { kernel, weight, bias, scale }: ConvBranch): SlotSpec[] {
  const { inChannels, outChannels, groups } = shape;
  const dims = [outChannels, inChannels / groups, kernel, kernel];
  const slots: SlotSpec[] = [{ name: weight, dims, kind: 'parameter' }];
  if (bias) slots.push({ name: bias, dims: [outChannels], kind: 'parameter' });
  if (scale) slots.push({ name: scale, dims: [1], kind: 'parameter' });
  return slots;
}

export function batchNormSlots(
  { outChannels }: Pick<BlockShape, 'outChannels'>,
  prefix: string | undefined,
): SlotSpec[] {
  if (!prefix) return [];
  return [
    { name: `${prefix}.weight`, dims: [outChannels], kind: 'parameter' },
    { name: `${prefix}.bias`, dims: [outChannels], kind: 'parameter' },
    { name: `${prefix}.running_mean`, dims: [outChannels], kind: 'buffer' },
    { name: `${prefix}.running_var`, dims: [outChannels], kind: 'buffer' },
    { name: `${prefix}.num_batches_tracked`, dims: [], kind: 'buffer' },
  ];
}
