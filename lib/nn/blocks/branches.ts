import type { FuseBatchNorm, FuseBranch, FuseSpec, ProgramNode, TrainedActivation } from '../../../binding';
import type { Nodes } from '../nodes';
import type { SlotSpec, Store } from '../state/state';
import { lowerSqueezeExcite, type SqueezeExcite, squeezeExciteSlots } from './squeeze-excite';

/**
 * What one block computes: a sum of branches, then perhaps a batch norm, a squeeze-and-excitation and an activation.
 *
 * Every form of a block is a structure: the train form has several branches, the deploy form a single plain convolution.
 * State, nodes and fusion are all derived from it, so they cannot disagree. Strings are tensor names in the 'official'
 * layout.
 */
export interface BlockStructure {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly stride: number;
  readonly dilation: number;
  readonly groups: number;
  readonly eps: number;
  readonly momentum: number;
  readonly branches: readonly Branch[];
  /** Batch norm over the sum of the branches. */
  readonly postBatchNorm?: string;
  readonly squeezeExcite?: SqueezeExcite;
  readonly activation: TrainedActivation;
}

export type Branch =
  | {
      readonly kind: 'conv';
      readonly kernel: 1 | 3;
      readonly weight: string;
      readonly bias?: string | undefined;
      /** A learnable number that multiplies the convolution and its bias. */
      readonly scale?: string | undefined;
      readonly batchNorm?: string | undefined;
    }
  | { readonly kind: 'identity'; readonly batchNorm?: string | undefined }
  /** 3x3 average pool; zeros of the padding count in the mean. */
  | { readonly kind: 'average'; readonly batchNorm?: undefined };

type ConvBranch = Extract<Branch, { kind: 'conv' }>;

/** The tensors of a block, in the order in which PyTorch lists them. */
export function slotsOf(block: BlockStructure): SlotSpec[] {
  return [
    ...block.branches.flatMap((branch) => [
      ...(branch.kind === 'conv' ? convSlots(block, branch) : []),
      ...batchNormSlots(block, branch.batchNorm),
    ]),
    ...batchNormSlots(block, block.postBatchNorm),
    ...(block.squeezeExcite ? squeezeExciteSlots(block.squeezeExcite, block.outChannels) : []),
  ];
}

/** [outChannels, inChannels / groups, kernel, kernel] */
export function weightDims(block: BlockStructure, kernel: number): number[] {
  return [block.outChannels, block.inChannels / block.groups, kernel, kernel];
}

/** Sizes of a convolution that do not depend on its input. */
export interface ConvGeometry {
  readonly outChannels: number;
  /** Square kernel, 1 or 3. */
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly groups: number;
}

/** The attributes of a node that slides a square window. */
export function windowAttributes(geometry: Omit<ConvGeometry, 'outChannels'>): ProgramNode['attributes'] {
  const { kernel, stride, padding, dilation, groups } = geometry;
  return {
    kernel: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    dilations: [dilation, dilation],
    group: groups,
  };
}

const averageWindow = {
  ...windowAttributes({ kernel: 3, stride: 1, padding: 1, dilation: 1, groups: 1 }),
  countIncludePad: true,
};

/** Keeps the centre tap of both kernels on the same pixel, so that their outputs can be added. */
export function convGeometry({ outChannels, stride, dilation, groups }: BlockStructure, kernel: 1 | 3): ConvGeometry {
  const isPoint = kernel === 1;
  return { outChannels, kernel, stride, padding: isPoint ? 0 : dilation, dilation: isPoint ? 1 : dilation, groups };
}

function convSlots(block: BlockStructure, { kernel, weight, bias, scale }: ConvBranch): SlotSpec[] {
  const slots: SlotSpec[] = [{ name: weight, dims: weightDims(block, kernel), kind: 'parameter' }];
  if (bias) slots.push({ name: bias, dims: [block.outChannels], kind: 'parameter' });
  if (scale) slots.push({ name: scale, dims: [1], kind: 'parameter' });
  return slots;
}

function batchNormSlots({ outChannels }: BlockStructure, prefix: string | undefined): SlotSpec[] {
  if (!prefix) return [];
  return [
    { name: `${prefix}.weight`, dims: [outChannels], kind: 'parameter' },
    { name: `${prefix}.bias`, dims: [outChannels], kind: 'parameter' },
    { name: `${prefix}.running_mean`, dims: [outChannels], kind: 'buffer' },
    { name: `${prefix}.running_var`, dims: [outChannels], kind: 'buffer' },
    { name: `${prefix}.num_batches_tracked`, dims: [], kind: 'buffer' },
  ];
}

/** Appends the nodes that compute a block from the value `source`, by default the output of the nodes so far. */
export function lower(block: BlockStructure, nodes: Nodes, source: number = nodes.last): void {
  const normalize = (
    input: number,
    prefix: string | undefined,
    activation: TrainedActivation,
    addend?: number,
  ): number => {
    if (prefix === undefined) return input;
    const tensors = ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'];
    const inputs = [input, ...tensors.map((name) => nodes.tensor(`${prefix}.${name}`))];
    if (addend !== undefined) inputs.push(addend);
    return nodes.push('batchNorm', prefix, inputs, { epsilon: block.eps, momentum: block.momentum, activation });
  };

  // A 1x1 branch without batch norm absorbs the identity, as ones on its diagonal: this saves a pass over the images.
  const carrier = block.branches.find(
    (branch): branch is ConvBranch =>
      branch.kind === 'conv' && branch.kernel === 1 && branch.scale === undefined && branch.batchNorm === undefined,
  );
  const isCarried = (branch: Branch): boolean =>
    carrier !== undefined && branch.kind === 'identity' && branch.batchNorm === undefined;

  const convolve = (branch: ConvBranch, activation: TrainedActivation): number => {
    const { kernel, weight, bias, scale } = branch;
    const inputs = [source, nodes.tensor(weight)];
    if (bias !== undefined) inputs.push(nodes.tensor(bias));
    const identity = branch === carrier && block.branches.some(isCarried);
    const window = windowAttributes(convGeometry(block, kernel));
    const value = nodes.push('conv', weight, inputs, { ...window, identity, activation });
    return scale === undefined ? value : nodes.push('scale', scale, [value, nodes.tensor(scale)], {});
  };

  // The last node applies the activation.
  const computed = block.branches.filter((branch) => !isCarried(branch));
  const single = computed.length === 1;
  const afterPost = block.squeezeExcite === undefined ? block.activation : 'none';
  const afterSum = block.postBatchNorm === undefined ? afterPost : 'none';
  const compute = (branch: Branch, addend?: number): number => {
    if (branch.kind === 'average') return nodes.push('averagePool', 'average', [source], averageWindow);
    const value = branch.kind === 'conv' ? convolve(branch, single ? afterSum : 'none') : source;
    return normalize(value, branch.batchNorm, 'none', addend);
  };
  const sumOf = (values: readonly number[], activation: TrainedActivation): number =>
    values.length === 1 ? (values[0] as number) : nodes.push('sum', 'sum', values, { activation });

  const [last, ...others] = computed.filter((branch) => branch.batchNorm !== undefined);
  const plain = computed.filter((branch) => branch !== last);
  // A batch norm adds the sum of the other branches, unless an activation follows that needs the whole sum.
  const absorbsSum = last !== undefined && others.length === 0 && plain.length > 0 && afterSum === 'none';
  const values = (absorbsSum ? plain : computed).map((branch) => compute(branch));
  const sum = absorbsSum ? compute(last, sumOf(values, 'none')) : sumOf(values, afterSum);
  const normalized = normalize(sum, block.postBatchNorm, afterPost);
  if (block.squeezeExcite) lowerSqueezeExcite(block.squeezeExcite, nodes, normalized, block.activation);
}

/** Describes to the native fusion how to fold `block` into one convolution. Without `foldPost` the post batch norm stays. */
export function fuseSpec(block: BlockStructure, store: Store, foldPost: boolean): FuseSpec {
  const batchNorm = (prefix: string): FuseBatchNorm => ({
    weight: store.view(`${prefix}.weight`),
    bias: store.view(`${prefix}.bias`),
    runningMean: store.view(`${prefix}.running_mean`),
    runningVar: store.view(`${prefix}.running_var`),
    eps: block.eps,
  });
  const branch = (from: Branch): FuseBranch => ({
    ...(from.kind === 'conv'
      ? {
          kind: from.kind,
          kernel: from.kernel,
          weight: store.view(from.weight),
          ...(from.bias !== undefined && { bias: store.view(from.bias) }),
          ...(from.scale !== undefined && { scale: store.view(from.scale)[0] as number }),
        }
      : { kind: from.kind }),
    ...(from.batchNorm !== undefined && { batchNorm: batchNorm(from.batchNorm) }),
  });
  return {
    inChannels: block.inChannels,
    outChannels: block.outChannels,
    groups: block.groups,
    branches: block.branches.map(branch),
    ...(foldPost && block.postBatchNorm !== undefined && { postBatchNorm: batchNorm(block.postBatchNorm) }),
  };
}
