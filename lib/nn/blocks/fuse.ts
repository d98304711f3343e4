import type { FuseBatchNorm, FuseBranch, FuseSpec } from '../../../binding';
import { addon } from '../../binding';
import { mismatch, QARepVGGError } from '../../errors';
import type { SlotSpec, Store } from '../state/state';
import { type BlockStructure, type Branch, slotsOf } from './structure';

/** Where a fused convolution goes: weight [outChannels, inChannels / groups, 3, 3] and bias [outChannels]. */
export interface FusedConvolution {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/**
 * Folds the branches of a block into one 3x3 convolution, and with `foldPost` the batch norm after them too. Uses running
 * statistics, computes in double and rounds once. Fills `into`, whose content is undefined after an error.
 *
 * @throws {QARepVGGError} ERR_NON_FINITE naming the tensors that are not finite or hold negative variances, and when the
 * result is too large for a float.
 */
export function fuse(block: BlockStructure, store: Store, foldPost: boolean, into: FusedConvolution): void {
  store.checkAttached();
  const slots = slotsOf(block);
  // Kernels are large. A number in one that is not finite makes the result not finite, so kernels are read only in that case.
  checkSane(
    slots.filter(({ dims }) => dims.length < 4),
    store,
  );
  try {
    addon.fuse(fuseSpec(block, store, foldPost), into.weight, into.bias);
  } catch (error) {
    if (error instanceof QARepVGGError && error.code === 'ERR_NON_FINITE') checkSane(slots, store);
    throw error;
  }
}

/** Without `foldPost` the post batch norm stays. */
function fuseSpec({ shape, branches, postBatchNorm }: BlockStructure, store: Store, foldPost: boolean): FuseSpec {
  const { inChannels, outChannels, groups, eps } = shape;
  const batchNorm = (prefix: string): FuseBatchNorm => ({
    weight: store.view(`${prefix}.weight`),
    bias: store.view(`${prefix}.bias`),
    runningMean: store.view(`${prefix}.running_mean`),
    runningVar: store.view(`${prefix}.running_var`),
    eps,
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
    inChannels,
    outChannels,
    groups,
    branches: branches.map(branch),
    ...(foldPost && postBatchNorm !== undefined && { postBatchNorm: batchNorm(postBatchNorm) }),
  };
}

/** @throws {QARepVGGError} ERR_NON_FINITE naming the tensors that are not finite or hold negative variances. */
export function checkSane(slots: readonly SlotSpec[], store: Store): void {
  const broken = slots.filter(({ name }) => !isSane(name, store.view(name)));
  if (broken.length === 0) return;
  const names = broken.map(({ name }) => name).join(', ');
  throw mismatch('ERR_NON_FINITE', 'finite tensors and variances from zero', `others in ${names}`);
}

/** Whether all numbers are finite and, for a variance, not negative. */
function isSane(name: string, values: Float32Array): boolean {
  const low = name.endsWith('.running_var') ? 0 : Number.NEGATIVE_INFINITY;
  const [smallest] = addon.extent(values); // NaN unless all are finite
  return smallest >= low;
}
