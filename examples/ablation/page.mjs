// The results as one page of HTML.

import { dataTable, escapeHtml, histogramPlot, lineFigure, page } from 'qarepvgg/html';
import { bitCounts, recipes, variantNames, variants } from './experiment.mjs';
import { group, mean, quantised, tablesOf } from './summary.mjs';

/** @typedef {import('./summary.mjs').Groups} Groups */

/** @type {readonly import('qarepvgg/html').LineStyle[]} */
const styles = ['a', 'b', 'c', 'd', 'e', 'f'];

/** @param {readonly import('./measure.mjs').Result[]} results */
export function renderPage(results) {
  const { groups } = group(results);
  return page(
    'QARepVGG: the ablation at small scale',
    `<header>
<h1>QARepVGG: the ablation at small scale</h1>
<p>Networks of 16 blocks on Fashion-MNIST, the same but for their blocks:</p>
<ul>${variantNames.map((name) => `<li>${name}: ${escapeHtml(variants[name].what)}</li>`).join('')}</ul>
<p>What they are quantised by:</p>
<ul>${Object.entries(recipes)
      .map(([name, { what }]) => `<li>${name}: ${escapeHtml(what)}</li>`)
      .join('')}</ul>
</header>
<main>
${bitFigures(groups).join('\n')}
${layerFigures(groups).join('\n')}
</main>
${tablesOf(results).map(renderTable).join('\n')}
<section>
<h2>Distributions</h2>
<p>Of the first seed, layer by layer: what goes into it, and its weights after re-parameterisation. Counts are on a
logarithmic scale. Eight bits have 127 steps on either side of zero, from there to the end of a plot.</p>
${distributions(groups)}
</section>`,
  );
}

/**
 * A line for each variant that has something to show.
 *
 * @param {Groups} groups
 * @param {(results: Groups[number]['results']) => (number | undefined)[]} valuesOf
 */
function linesOf(groups, valuesOf) {
  const lines = groups.map(({ variant, results }, i) => ({
    name: variant,
    style: styles[i] ?? 'a',
    values: valuesOf(results),
  }));
  return lines.filter(({ values }) => values.some((value) => value !== undefined));
}

/** @param {Groups} groups */
function bitFigures(groups) {
  return /** @type {const} */ (['tensor', 'corrected']).map((recipe) =>
    lineFigure({
      title: `Accuracy by bits, recipe ${recipe}`,
      text: 'Mean over the seeds.',
      names: ['float', ...bitCounts.map((bits) => `${bits} bits`)],
      lines: linesOf(groups, (results) => [
        100 * mean(results.map(({ float }) => float)),
        ...bitCounts.map((bits) => 100 * mean(results.map((result) => quantised(result, recipe, bits).accuracy))),
      ]),
      unit: '%',
    }),
  );
}

/** @param {Groups} groups */
function layerFigures(groups) {
  const names = groups[0]?.results[0]?.layers.map(({ name }) => name) ?? [];
  /**
   * @param {string} title
   * @param {string} text
   * @param {(layer: import('./measure.mjs').Layer) => number | undefined} value
   * @param {{ unit?: string, log?: boolean }} options
   */
  const figure = (title, text, value, options = { log: true }) =>
    lineFigure({
      title,
      text: `${text} Mean over the seeds.`,
      names,
      ...options,
      lines: linesOf(groups, (results) =>
        names.map((_, i) => {
          const values = results
            .map(({ layers }) => layers[i] && value(layers[i]))
            .filter((seen) => seen !== undefined);
          return values.length > 0 ? mean(values) : undefined;
        }),
      ),
    });
  return [
    figure('Largest activations', 'The largest number that goes into each layer.', ({ activation }) => activation),
    figure('Largest weights', 'Of the one convolution that a block becomes.', ({ weight }) => weight),
    figure('Deviation of weights', 'Standard deviation of all weights of a layer.', ({ weightStd }) => weightStd),
    figure(
      'Spread of channels',
      'Largest weight of the largest output channel over that of the median one.',
      ({ spread }) => spread,
    ),
    figure(
      'Signal to quantisation noise',
      "For the output of each layer, 8 bits, by the paper's recipe with one scale for all weights of a layer.",
      ({ sqnr }) => sqnr.tensor,
      { unit: 'dB' },
    ),
    figure(
      'Scale of the identity',
      'Largest |gamma| / deviation of the batch norm on the identity, where there is one. A channel that hardly changes has a large one.',
      ({ identityScale }) => identityScale,
    ),
  ];
}

/** @param {import('./summary.mjs').Table} table */
function renderTable({ title, text, head, rows }) {
  return `<section><h2>${escapeHtml(title)}</h2><p>${escapeHtml(text)}</p>${dataTable(head, rows)}</section>`;
}

/** @param {Groups} groups */
function distributions(groups) {
  const names = groups[0]?.results[0]?.layers.map(({ name }) => name) ?? [];
  return names
    .map((name, i) => {
      const cards = groups.map(({ variant, results }) => card(variant, name, results[0]?.layers[i]));
      return `<h3>${name}</h3><div class="cards">${cards.join('')}</div>`;
    })
    .join('\n');
}

/**
 * @param {string} variant
 * @param {string} name
 * @param {import('./measure.mjs').Layer | undefined} layer
 */
function card(variant, name, layer) {
  if (!layer?.distributions) return '';
  const { activations, weights } = layer.distributions;
  return `<article><h3>${variant}</h3>
<h4>goes in</h4>${histogramPlot(`${variant}, ${name}: activations`, activations)}
<h4>weights</h4>${histogramPlot(`${variant}, ${name}: weights`, weights)}</article>`;
}
