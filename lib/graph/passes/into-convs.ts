import { findAffine } from './affine';
import { affineIntoConv } from './affine-into-conv';
import { mergeBranches } from './merge-branches';
import type { Pass } from './pass';
import { removeDead } from './remove-dead';

/** Batch norms and branches become part of convolutions. Branches end in batch norms, and their sum may be followed by one. */
export const intoConvs: readonly Pass[] = [
  findAffine,
  affineIntoConv,
  mergeBranches,
  affineIntoConv,
  mergeBranches,
  removeDead,
];
