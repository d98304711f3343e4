// What a trained network is asked: its accuracy in float and quantised, and what its layers look like.

import { evaluate, quantize } from 'qarepvgg';
import { bitCounts, recipeNames, recipes } from './experiment.mjs';

/**
 * @typedef {object} Quantised
 * @property {import('./experiment.mjs').Recipe} recipe
 * @property {number} bits
 * @property {number} accuracy Share of the test images.
 * @property {number} sqnr Signal to quantisation noise of the logits, in decibels.
 *
 * @typedef {object} Layer The convolutions and the classifier, in deploy form.
 * @property {string} name
 * @property {number} activation Largest number that goes into it.
 * @property {number} weight Largest absolute weight.
 * @property {number} weightStd Standard deviation of all its weights.
 * @property {number} spread Largest absolute weight of the largest channel, over that of the median channel.
 * @property {Record<'tensor' | 'channel', number>} sqnr Of its output, in decibels, by the recipes of these names.
 * @property {number} [identityScale] Largest |gamma| / sqrt(variance + eps) of the batch norm on its identity.
 * @property {{ activations: import('qarepvgg').Bins, weights: import('qarepvgg').Bins }} [distributions]
 *
 * @typedef {object} Measured
 * @property {number} float Accuracy.
 * @property {Quantised[]} quantised
 * @property {Layer[]} layers
 * @property {number} [shiftGap] Largest difference between the shifts of the batch norms on 3x3 and 1x1, where there are both.
 *
 * @typedef {object} Job
 * @property {import('./experiment.mjs').Variant} variant
 * @property {number} seed
 * @property {number} epochs
 *
 * @typedef {Job & Measured} Result
 */

/**
 * @param {import('qarepvgg').Network} network
 * @param {import('qarepvgg').Dataset} calibration
 * @param {import('qarepvgg').Dataset} test
 * @param {number} threads
 * @returns {Promise<Measured>}
 */
export async function measure(network, calibration, test, threads) {
  const deploy = network.reparameterize();
  const { accuracy: float } = await evaluate(network, test, { threads });
  /** @type {Quantised[]} */
  const quantised = [];
  /** @type {Map<string, import('qarepvgg').QuantizationReport>} */
  const reports = new Map();
  for (const recipe of recipeNames) {
    for (const bits of bitCounts) {
      const { model, report } = await quantize(deploy, calibration, { ...recipes[recipe].options, bits, threads });
      const { accuracy } = await evaluate(model, test, { threads });
      quantised.push({ recipe, bits, accuracy, sqnr: report.output.sqnr });
      if (bits === 8) reports.set(recipe, report);
    }
  }
  const state = network.stateDict();
  const layers = describeLayers(deploy, network, reports);
  const shiftGap = largestShiftGap(state);
  return { float, quantised, layers, ...(shiftGap !== undefined && { shiftGap }) };
}

/**
 * @param {import('qarepvgg').Network} deploy
 * @param {import('qarepvgg').Network} network
 * @param {Map<string, import('qarepvgg').QuantizationReport>} reports
 * @returns {Layer[]}
 */
function describeLayers(deploy, network, reports) {
  const fused = deploy.stateDict();
  const state = network.stateDict();
  const perChannel = reports.get('channel')?.layers ?? [];
  return (reports.get('tensor')?.layers ?? []).flatMap(({ name, max, activations, weights, sqnr }, i) => {
    const values = (fused[`${name}.rbr_reparam.weight`] ?? fused[`${name}.weight`])?.data;
    if (!weights || !values) return [];
    const channels = [...weights.channels].sort((a, b) => a - b);
    const identityScale = largestScale(state, `${name}.rbr_identity`, network.options.eps);
    const largest = channels.at(-1) ?? 0;
    return {
      name,
      activation: max,
      weight: largest,
      weightStd: deviation(values),
      spread: largest / (channels[Math.floor(channels.length / 2)] || 1),
      sqnr: { tensor: sqnr, channel: perChannel[i]?.sqnr ?? 0 },
      ...(identityScale !== undefined && { identityScale }),
      distributions: { activations, weights: weights.histogram },
    };
  });
}

/** @param {Float32Array} values */
function deviation(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

/**
 * @param {import('qarepvgg').StateDict} state
 * @param {string} batchNorm
 * @param {number} eps
 */
function largestScale(state, batchNorm, eps) {
  const gamma = state[`${batchNorm}.weight`]?.data;
  const variance = state[`${batchNorm}.running_var`]?.data;
  if (!gamma || !variance) return undefined;
  return gamma.reduce((most, value, i) => Math.max(most, Math.abs(value) / Math.sqrt((variance[i] ?? 0) + eps)), 0);
}

/**
 * The paper's lemma on S2: both shifts begin at 0 and get the same gradients, so that they stay the same.
 *
 * @param {import('qarepvgg').StateDict} state
 */
function largestShiftGap(state) {
  const gaps = Object.entries(state).flatMap(([name, { data }]) => {
    const other = name.endsWith('rbr_dense.bn.bias') && state[name.replace('rbr_dense', 'rbr_1x1')]?.data;
    return other ? Array.from(data, (value, i) => Math.abs(value - (other[i] ?? 0))) : [];
  });
  return gaps.length > 0 ? Math.max(...gaps) : undefined;
}
