import type { FusedConv } from '../../binding';
import { addon } from '../binding';
import { mismatch } from '../errors';
import { type BlockStructure, fuseSpec } from './branches';
import type { Store } from './state';

/**
 * Folds the branches of a block into one 3x3 convolution, and with `foldPost` the batch norm after them too, from
 * running statistics; computed in double and rounded once.
 *
 * @throws {QARepVGGError} ERR_NON_FINITE naming the tensors that are not finite or hold variances below zero, and when
 * the result is too large for a float.
 */
export function fuse(block: BlockStructure, store: Store, foldPost: boolean, where: string): FusedConv {
  store.checkAttached(where);
  const broken = store.slots.filter(({ name }) => !isSane(name, store.view(name)));
  if (broken.length > 0) {
    const names = broken.map(({ name }) => name).join(', ');
    throw mismatch('ERR_NON_FINITE', where, 'finite tensors and variances from zero', `others in ${names}`);
  }
  return addon.fuse(fuseSpec(block, store, foldPost));
}

/** Finite throughout, and a variance is not negative. */
function isSane(name: string, values: Float32Array): boolean {
  const low = name.endsWith('.running_var') ? 0 : Number.NEGATIVE_INFINITY;
  return values.every((value) => Number.isFinite(value) && value >= low);
}
