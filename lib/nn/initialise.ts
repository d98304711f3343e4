import { Random } from '../random';
import type { BlockStructure } from './branches';
import type { Store } from './state';

/**
 * Initial state of a block in train form, from a seed.
 *
 * - 3x3: Kaiming normal, fan-out, gain of ReLU: N(0, 2 / (9 outChannels)), as the seed article and PyTorch's
 *   `kaiming_normal_` (which does not divide the fan by groups).
 * - 1x1 without batch norm: zeros, as the seed article; the identity stands in for it at first.
 * - 1x1 with batch norm (S0 to S2): PyTorch's default, uniform within 1 / sqrt(fan-in), as the official code. Zeros
 *   would give the batch norm a variance of zero: a branch that starts dead, with gradients scaled by 1 / sqrt(eps).
 * - biases: zeros. `alpha`: 1 with noise of deviation 0.01, as super-gradients.
 * - batch norm: weight 1, bias 0, running mean 0, running variance 1.
 */
export function initialise(block: BlockStructure, store: Store, seed: number): void {
  const random = new Random(seed);
  for (const branch of block.branches) {
    if (branch.kind !== 'conv') continue;
    const weight = store.view(branch.weight);
    if (branch.kernel === 3) {
      random.fillNormal(weight, 0, Math.sqrt(2 / (9 * block.outChannels)));
    } else if (branch.batchNorm) {
      const bound = 1 / Math.sqrt(block.inChannels / block.groups);
      random.fillUniform(weight, -bound, bound);
    }
    if (branch.scale) random.fillNormal(store.view(branch.scale), 1, 0.01);
  }
  for (const prefix of [...block.branches.map((branch) => branch.batchNorm), block.postBatchNorm]) {
    if (prefix === undefined) continue;
    store.view(`${prefix}.weight`).fill(1);
    store.view(`${prefix}.running_var`).fill(1);
  }
}
