import { findAffine } from './affine';
import { affineIntoConv } from './affine-into-conv';
import { mergeBranches } from './merge-branches';
import type { Pass } from './pass';
import { removeDead } from './remove-dead';

/** Folds batch norms and branches into convolutions, twice: branches end in batch norms, and one may follow their sum. */
export const intoConvs: readonly Pass[] = [
  findAffine,
  affineIntoConv,
  mergeBranches,
  affineIntoConv,
  mergeBranches,
  removeDead,
];
