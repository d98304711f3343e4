import type { Random } from '../../random';
import type { Store } from '../state/state';
import type { Layer } from './layers';
import type { SqueezeExcite } from './squeeze-excite';
import type { BlockStructure } from './structure';

/**
 * Fills the state of layers in train form; all tensors must be zero before.
 *
 * - 3x3: Kaiming normal, fan-out, gain of ReLU: N(0, 2 / (9 outChannels)), like the seed article and PyTorch's
 *   `kaiming_normal_` (which does not divide the fan by groups).
 * - 1x1 without batch norm: zeros, like the seed article. At first the identity alone carries the input past the 3x3.
 * - 1x1 with batch norm (S0 to S2): PyTorch's default, uniform within 1 / sqrt(fan-in), like the official code. Zeros
 *   would make the variance of the batch norm zero: a branch that starts dead, with gradients scaled by 1 / sqrt(eps).
 * - Biases of convolutions: zeros. `alpha`: 1 with noise of deviation 0.01, like super-gradients.
 * - Batch norm: weight 1, bias 0, running mean 0, running variance 1.
 * - Linear layers, including those of squeeze-and-excitation: PyTorch's default, weight and bias uniform within
 *   1 / sqrt(fan-in).
 */
export function initialize(layers: readonly Layer[], store: Store, random: Random): void {
  for (const layer of layers) {
    if (layer.kind === 'block') initializeBlock(layer.block, store, random);
    else initializeLinear(layer.name, layer.features, store, random);
  }
}

function initializeBlock(block: BlockStructure, store: Store, random: Random): void {
  const { inChannels, outChannels, groups } = block.shape;
  for (const branch of block.branches) {
    if (branch.kind !== 'conv') continue;
    const weight = store.view(branch.weight);
    if (branch.kernel === 3) {
      random.fillNormal(weight, 0, Math.sqrt(2 / (9 * outChannels)));
    } else if (branch.batchNorm) {
      const bound = 1 / Math.sqrt(inChannels / groups);
      random.fillUniform(weight, -bound, bound);
    }
    if (branch.scale) random.fillNormal(store.view(branch.scale), 1, 0.01);
  }
  for (const prefix of [...block.branches.map((branch) => branch.batchNorm), block.postBatchNorm]) {
    if (prefix === undefined) continue;
    store.view(`${prefix}.weight`).fill(1);
    store.view(`${prefix}.running_var`).fill(1);
  }
  if (block.squeezeExcite) initializeSqueezeExcite(block.squeezeExcite, outChannels, store, random);
}

function initializeSqueezeExcite({ name, reduced }: SqueezeExcite, channels: number, store: Store, random: Random) {
  initializeLinear(`${name}.down`, channels, store, random);
  initializeLinear(`${name}.up`, reduced, store, random);
}

function initializeLinear(name: string, fanIn: number, store: Store, random: Random): void {
  const bound = 1 / Math.sqrt(fanIn);
  random.fillUniform(store.view(`${name}.weight`), -bound, bound);
  random.fillUniform(store.view(`${name}.bias`), -bound, bound);
}
