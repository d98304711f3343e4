import type { BlockStructure, Branch } from './branches';
import type { CheckedBlockOptions } from './options';

/**
 * - 'train': all branches.
 * - 'partial': the branches folded into one convolution, the batch norm after them kept; can still be trained.
 * - 'deploy': one convolution.
 */
export type Form = 'train' | 'partial' | 'deploy';

/** What a block with these options computes in the given form. The only place that knows the variants. */
export function structureOf(options: CheckedBlockOptions, form: Form): BlockStructure {
  const { inChannels, outChannels, stride, dilation, groups, eps, momentum } = options;
  const keepPost = options.variant === 'S4' && form !== 'deploy';
  return {
    ...{ inChannels, outChannels, stride, dilation, groups, eps, momentum },
    branches: form === 'train' ? trainBranches(options) : [fused],
    ...(keepPost && { postBatchNorm: 'bn' }),
    relu: options.activation === 'relu',
  };
}

const fused: Branch = { kind: 'conv', kernel: 3, weight: 'rbr_reparam.weight', bias: 'rbr_reparam.bias' };

function trainBranches(options: CheckedBlockOptions): Branch[] {
  const { variant, inChannels, outChannels, stride, pointwiseBias, alpha, averageBranch } = options;
  const normalisesPointwise = variant === 'S0' || variant === 'S1' || variant === 'S2';
  const normalisesIdentity = variant === 'S0' || variant === 'S1';
  // PyTorch nests convolution and batch norm in one module, where there is a batch norm.
  const pointwise = normalisesPointwise ? 'rbr_1x1.conv' : 'rbr_1x1';

  const branches: Branch[] = [
    { kind: 'conv', kernel: 3, weight: 'rbr_dense.conv.weight', batchNorm: 'rbr_dense.bn' },
    {
      kind: 'conv',
      kernel: 1,
      weight: `${pointwise}.weight`,
      bias: pointwiseBias ? `${pointwise}.bias` : undefined,
      scale: alpha ? 'alpha' : undefined,
      batchNorm: normalisesPointwise ? 'rbr_1x1.bn' : undefined,
    },
  ];
  if (inChannels === outChannels && stride === 1) {
    branches.push({ kind: 'identity', batchNorm: normalisesIdentity ? 'rbr_identity' : undefined });
    if (averageBranch) branches.push({ kind: 'average' });
  }
  return branches;
}
