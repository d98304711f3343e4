// Results of several seeds, summed up in rows that both the tables and the page show.

import { bitCounts, recipeNames, variantNames, variants } from './experiment.mjs';

/**
 * @typedef {import('./measure.mjs').Result} Result
 *
 * @typedef {object} Table
 * @property {string} title
 * @property {string} text
 * @property {readonly string[]} head
 * @property {readonly (readonly string[])[]} rows
 */

/**
 * The trainings of all seeds, by variant, in the order of the paper; and those that lasted longer.
 *
 * @param {readonly Result[]} results
 */
export function group(results) {
  const epochs = Math.min(...results.map((result) => result.epochs));
  const groups = variantNames.map((variant) => ({
    variant,
    results: results.filter((result) => result.variant === variant && result.epochs === epochs),
  }));
  return {
    epochs,
    groups: groups.filter((group) => group.results.length > 0),
    long: results.filter((result) => result.epochs > epochs),
  };
}

/** @param {readonly number[]} values */
export function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of the sample, with n - 1; 0 for one value. @param {readonly number[]} values */
function deviation(values) {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / Math.max(1, values.length - 1));
}

/** "91.87 ± 0.12", in percent. @param {readonly number[]} shares */
function percent(shares) {
  const spread = shares.length > 1 ? ` ± ${(100 * deviation(shares)).toFixed(2)}` : '';
  return `${(100 * mean(shares)).toFixed(2)}${spread}`;
}

/** @param {number} count @param {string} noun */
function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** "12.3 (10.1 to 15.2)" @param {readonly number[]} values @param {number} [digits] */
function range(values, digits = 1) {
  const middle = mean(values).toFixed(digits);
  if (values.length === 1) return middle;
  return `${middle} (${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)})`;
}

/**
 * @param {Result} result
 * @param {import('./experiment.mjs').Recipe} recipe
 * @param {number} bits
 */
export function quantised(result, recipe, bits) {
  const found = result.quantised.find((entry) => entry.recipe === recipe && entry.bits === bits);
  if (!found) throw new Error(`expected ${recipe} with ${bits} bits in the result of ${result.variant}, received none`);
  return found;
}

/** @param {readonly Result[]} results @returns {Table[]} */
export function tablesOf(results) {
  const { epochs, groups, long } = group(results);
  const seeds = groups[0]?.results.length ?? 0;
  const tables = [accuracies(groups, epochs, seeds), ...bitTables(groups), layers(groups)];
  return long.length > 0 ? [...tables, longer(long, results)] : tables;
}

/** @typedef {ReturnType<typeof group>['groups']} Groups */

/** @param {Groups} groups @param {number} epochs @param {number} seeds @returns {Table} */
function accuracies(groups, epochs, seeds) {
  return {
    title: 'Float and INT8',
    text: `Accuracy in percent; the paper's: A0 on ImageNet. Here: ${plural(epochs, 'epoch')}; ${plural(seeds, 'seed')}, mean and standard deviation.`,
    head: ['', 'paper, float', 'paper, INT8', 'float', ...recipeNames.map((name) => `INT8 ${name}`)],
    rows: groups.map(({ variant, results }) => [
      variant,
      ...variants[variant].paper.map((value) => value.toFixed(1)),
      percent(results.map(({ float }) => float)),
      ...recipeNames.map((recipe) => percent(results.map((result) => quantised(result, recipe, 8).accuracy))),
    ]),
  };
}

/** @param {Groups} groups @returns {Table[]} */
function bitTables(groups) {
  return recipeNames.map((recipe) => ({
    title: `Fewer bits, recipe ${recipe}`,
    text: 'What is lost against float, in points; taken seed by seed, then mean and standard deviation.',
    head: ['', ...bitCounts.map((bits) => `${bits} bits`)],
    rows: groups.map(({ variant, results }) => [
      variant,
      ...bitCounts.map((bits) => percent(results.map((result) => lost(result, recipe, bits)))),
    ]),
  }));
}

/** @param {Result} result @param {import('./experiment.mjs').Recipe} recipe @param {number} bits */
function lost(result, recipe, bits) {
  return result.float - quantised(result, recipe, bits).accuracy;
}

/** @param {Groups} groups @returns {Table} */
function layers(groups) {
  return {
    title: 'Layers',
    text:
      'Mean over the seeds, and the least and the largest. Activations and weights: the largest of any layer. Spread: largest ' +
      'weight of the largest channel over that of the median channel, the worst layer. Noise: 8 bits, recipe tensor.',
    head: [
      ...['', 'largest activation', 'largest weight', 'spread', 'scale of the identity'],
      ...['worst layer, dB', 'logits, dB', 'shifts differ by'],
    ],
    rows: groups.map(({ variant, results }) => [variant, ...extremes(results)]),
  };
}

/** @param {readonly Result[]} results */
function extremes(results) {
  /** @param {(layer: import('./measure.mjs').Layer) => number} value */
  const largest = (value) => results.map(({ layers }) => Math.max(...layers.map(value)));
  const scales = largest(({ identityScale = 0 }) => identityScale);
  const gaps = results.flatMap(({ shiftGap }) => (shiftGap === undefined ? [] : [shiftGap]));
  return [
    range(largest(({ activation }) => activation)),
    range(largest(({ weight }) => weight)),
    range(largest(({ spread }) => spread)),
    Math.max(...scales) > 0 ? range(scales) : '',
    range(results.map(({ layers }) => Math.min(...layers.map(({ sqnr }) => sqnr.tensor)))),
    range(results.map((result) => quantised(result, 'tensor', 8).sqnr)),
    gaps.length > 0 ? `${Math.max(...gaps)}` : '',
  ];
}

/** @param {readonly Result[]} long @param {readonly Result[]} all @returns {Table} */
function longer(long, all) {
  const rows = long.flatMap(({ variant, seed }) =>
    all.filter((other) => other.variant === variant && other.seed === seed),
  );
  return {
    title: 'Longer training',
    text: 'The same seed, trained for longer. Accuracy in percent.',
    head: [
      '',
      'epochs',
      'float',
      ...bitCounts.map((bits) => `${bits} bits, tensor`),
      'largest activation',
      'largest weight',
    ],
    rows: rows.map((result) => [
      ...[result.variant, `${result.epochs}`, percent([result.float])],
      ...bitCounts.map((bits) => percent([quantised(result, 'tensor', bits).accuracy])),
      ...extremes([result]).slice(0, 2),
    ]),
  };
}
