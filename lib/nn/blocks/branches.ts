import type {
  ConvGeometry,
  FuseBatchNorm,
  FuseBranch,
  FuseSpec,
  Op,
  TrainedActivation,
  ValueId,
} from '../../../binding';
import type { SlotSpec, Store } from '../state/state';
import { type SqueezeExcite, squeezeExciteOp, squeezeExciteSlots } from './squeeze-excite';

/**
 * What one block computes: a sum of branches, then perhaps a batch norm, a squeeze-and-excitation and an activation.
 *
 * Every form of a block is a structure: the train form has several branches, the deploy form a single plain convolution.
 * State, op list and fusion are all derived from it, so they cannot disagree. Strings are tensor names in the 'official'
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

/** Appends the ops that compute a block from the value `source`, by default the output of the ops so far. */
export function lower(block: BlockStructure, store: Store, ops: Op[], source: ValueId = ops.length): void {
  const push = (op: Op): ValueId => ops.push(op);
  const offset = (name: string): number => store.slot(name).offset;

  const normalize = (
    input: ValueId,
    prefix: string | undefined,
    activation: TrainedActivation,
    addend?: ValueId,
  ): ValueId =>
    prefix === undefined
      ? input
      : push({
          op: 'batchNorm',
          input,
          ...(addend !== undefined && { addend }),
          eps: block.eps,
          momentum: block.momentum,
          weight: offset(`${prefix}.weight`),
          bias: offset(`${prefix}.bias`),
          runningMean: offset(`${prefix}.running_mean`),
          runningVar: offset(`${prefix}.running_var`),
          batches: offset(`${prefix}.num_batches_tracked`),
          activation,
        });

  // A 1x1 branch without batch norm absorbs the identity, as ones on its diagonal: this saves a pass over the images.
  const carrier = block.branches.find(
    (branch): branch is ConvBranch =>
      branch.kind === 'conv' && branch.kernel === 1 && branch.scale === undefined && branch.batchNorm === undefined,
  );
  const isCarried = (branch: Branch): boolean =>
    carrier !== undefined && branch.kind === 'identity' && branch.batchNorm === undefined;

  const convolve = (branch: ConvBranch, activation: TrainedActivation): ValueId => {
    const { kernel, weight, bias, scale } = branch;
    const value = push({
      op: 'conv',
      input: source,
      ...convGeometry(block, kernel),
      weight: offset(weight),
      ...(bias !== undefined && { bias: offset(bias) }),
      ...(branch === carrier && block.branches.some(isCarried) && { identity: true }),
      activation,
    });
    return scale === undefined ? value : push({ op: 'scale', input: value, factor: offset(scale) });
  };

  // The last op applies the activation.
  const computed = block.branches.filter((branch) => !isCarried(branch));
  const single = computed.length === 1;
  const afterPost = block.squeezeExcite === undefined ? block.activation : 'none';
  const afterSum = block.postBatchNorm === undefined ? afterPost : 'none';
  const compute = (branch: Branch, addend?: ValueId): ValueId => {
    if (branch.kind === 'average') return push({ op: 'averagePool', input: source });
    const value = branch.kind === 'conv' ? convolve(branch, single ? afterSum : 'none') : source;
    return normalize(value, branch.batchNorm, 'none', addend);
  };
  const sumOf = (values: readonly ValueId[], activation: TrainedActivation): ValueId =>
    values.length === 1 ? (values[0] as ValueId) : push({ op: 'add', inputs: values, activation });

  const [last, ...others] = computed.filter((branch) => branch.batchNorm !== undefined);
  const plain = computed.filter((branch) => branch !== last);
  // A batch norm adds the sum of the other branches, unless an activation follows that needs the whole sum.
  const absorbsSum = last !== undefined && others.length === 0 && plain.length > 0 && afterSum === 'none';
  const values = (absorbsSum ? plain : computed).map((branch) => compute(branch));
  const sum = absorbsSum ? compute(last, sumOf(values, 'none')) : sumOf(values, afterSum);
  const normalized = normalize(sum, block.postBatchNorm, afterPost);
  if (block.squeezeExcite) push(squeezeExciteOp(block.squeezeExcite, store, normalized, block.activation));
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
