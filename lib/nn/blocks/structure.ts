import type { BlockStructure, Branch } from './branches';
import type { CheckedBlockOptions } from './options';
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

/** The convolution that the branches fold into. */
export type FusedBranch = Extract<Branch, { kind: 'conv' }> & { readonly bias: string };

/**
 * Returns what a block computes in the given form.
 *
 * @param prefix Precedes the name of every tensor: "stage1.0.", or nothing.
 */
export function structureOf(shape: BlockShape, form: Form, prefix = ''): BlockStructure {
  const { inChannels, outChannels, stride, dilation, groups, eps, momentum, activation } = shape;
  const keepPost = hasNorm(shape.variant, 'sum') && form !== 'deploy';
  return {
    inChannels,
    outChannels,
    stride,
    dilation,
    groups,
    eps,
    momentum,
    activation,
    branches: form === 'train' ? trainBranches(shape, prefix) : [fusedBranch(prefix)],
    ...(keepPost && { postBatchNorm: `${prefix}bn` }),
    ...(shape.squeezeExcite && { squeezeExcite: { name: `${prefix}se`, reduced: reducedOf(outChannels) } }),
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
