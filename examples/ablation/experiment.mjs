// What is compared with what: the networks, how they are trained, and how they are quantised.

import { createModel } from 'qarepvgg';

/**
 * Table 3 and table 10 of the paper (arXiv 2212.01593): accuracy of A0 on ImageNet in float and in INT8, in percent.
 *
 * @typedef {'S0' | 'S1' | 'S2' | 'S3' | 'S4' | 'VGG'} Variant
 * @type {Readonly<Record<Variant, { what: string, paper: readonly [float: number, int8: number] }>>}
 */
export const variants = {
  S0: { what: 'RepVGG, its custom L2', paper: [72.2, 50.3] },
  S1: { what: 'RepVGG, plain weight decay', paper: [71.7, 61.6] },
  S2: { what: 'S1 without batch norm on the identity', paper: [70.7, 62.5] },
  S3: { what: 'S2 without batch norm on the 1x1', paper: [70.1, 69.5] },
  S4: { what: 'QARepVGG: S3 with a batch norm after the sum', paper: [72.2, 70.4] },
  VGG: { what: 'one branch: 3x3, batch norm, ReLU', paper: [70.4, 70.1] },
};

export const variantNames = /** @type {Variant[]} */ (Object.keys(variants));

/** 16 blocks and the classifier, for grey images of 28 x 28; an early stride makes a step cheap. */
const shape = {
  numClasses: 10,
  inChannels: 1,
  inputSize: 28,
  blocks: [2, 4, 8, 1],
  channels: [16, 16, 32, 32, 64],
  strides: [2, 1, 2, 2, 1],
  preprocessing: { mean: [0.286], std: [0.353] },
};

/**
 * The paper's optimiser and schedule; flips and shifts stand for its crops. What weight decay does grows with decay times
 * learning rate times steps: the paper's 1e-4 over its 600,000 steps comes to 3, over our 1,900 it would be 0.01 and do
 * nothing; with 2e-3 it is 0.2.
 *
 * @type {{ trainer: import('qarepvgg').TrainerOptions, fit: Omit<import('qarepvgg').FitOptions, 'epochs'> }}
 */
export const training = {
  trainer: { lr: 0.1, momentum: 0.9, weightDecay: 2e-3, schedule: 'cosine', warmup: 0.05 },
  fit: { batchSize: 128, flip: true, shift: 2 },
};

/**
 * A network before its training.
 *
 * @param {Variant} variant
 * @param {number} seed
 */
export function makeNetwork(variant, seed) {
  return variant === 'VGG' ? plainNetwork(seed) : createModel('qarepvgg_a0', { ...shape, variant, seed });
}

/**
 * The partial form of a QARepVGG is a plain network: 3x3, batch norm, ReLU. It begins with the 3x3 weights of the QARepVGG of
 * the same seed, without its other branches. Its convolutions have a bias, too, which the batch norm takes off again.
 *
 * @param {number} seed
 */
function plainNetwork(seed) {
  const network = createModel('qarepvgg_a0', { ...shape, seed });
  const initial = network.stateDict();
  network.eval().switchToDeploy({ keepPostBn: true });
  const state = network.stateDict();
  for (const [name, { data }] of Object.entries(state)) {
    if (name.endsWith('rbr_reparam.bias')) data.fill(0);
    const dense = initial[name.replace('rbr_reparam', 'rbr_dense.conv')];
    if (name.endsWith('rbr_reparam.weight') && dense) data.set(dense.data);
  }
  network.loadStateDict(state);
  return network.train();
}

/**
 * The recipes, as options of `quantize`. The paper does not say whether weights had one scale or one for each channel.
 *
 * @typedef {'tensor' | 'channel' | 'default' | 'corrected'} Recipe
 * @type {Readonly<Record<Recipe, { what: string, options: import('qarepvgg').QuantizeOptions }>>}
 */
export const recipes = {
  tensor: {
    what: "the paper's: symmetric, maximum, one scale for all weights of a layer",
    options: { scheme: 'symmetric', method: 'minmax', perChannel: false },
  },
  channel: {
    what: 'the same with a scale for each output channel',
    options: { scheme: 'symmetric', method: 'minmax' },
  },
  default: { what: 'the defaults here: affine, least squared error, per channel', options: {} },
  corrected: { what: 'the same with bias correction', options: { biasCorrection: true } },
};

export const recipeNames = /** @type {Recipe[]} */ (Object.keys(recipes));

/** Of weights and activations; fewer than 8 are simulated. */
export const bitCounts = [8, 7, 6, 5, 4];
