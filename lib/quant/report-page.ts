import { dataTable, lineFigure, page } from '../html/page';
import { escapeHtml, format, histogramPlot } from '../html/plots';
import { checkReport } from './check-report';
import type { ActivationReport, LayerReport, QuantizationReport } from './report';

/**
 * A report as one HTML page with plots: it needs no other file and no network, and follows the browser's choice of light or
 * dark.
 *
 * @param report Of {@link quantize}, or the same after JSON.
 * @throws {QARepVGGError} ERR_INVALID_ARG naming what is missing of it.
 *
 * @example
 * const { report } = await quantize(network, images);
 * await writeFile('report.html', renderReport(report));
 */
export function renderReport(report: QuantizationReport): string {
  checkReport(report, 'renderReport, report');
  const { layers, output } = report;
  const convs = layers.filter(({ weights }) => weights !== undefined);
  const names = [...layers.map(({ name }) => name), 'output'];
  const tensors: readonly ActivationReport[] = [...layers, output];
  const figures = [
    lineFigure({
      title: 'Signal to quantisation noise',
      text: 'Of what each layer puts out against the float model, on the first calibration images, and of its weights alone. Higher is better; 6 dB are one bit.',
      names: layers.map(({ name }) => name),
      lines: [
        { name: 'output', style: 'a', values: layers.map(({ sqnr }) => sqnr) },
        { name: 'weights', style: 'b', values: layers.map(({ weights }) => weights?.sqnr) },
      ],
      unit: 'dB',
    }),
    lineFigure({
      title: 'Largest activations',
      text: 'What goes into each layer: the largest number that was seen, and the largest that its integers keep. One scale serves all channels.',
      names,
      lines: [
        { name: 'seen', style: 'a', values: tensors.map(({ min, max }) => Math.max(-min, max)) },
        { name: 'kept', style: 'b', values: tensors.map((tensor) => keptBy(tensor)?.[1]) },
      ],
      log: true,
    }),
    lineFigure({
      title: 'Clamped activations',
      text: 'Share of the numbers that go into each layer and lie beyond what is kept.',
      names,
      lines: [{ name: 'clamped', style: 'a', values: tensors.map(clampedPercent) }],
      unit: '%',
    }),
    lineFigure({
      title: 'Largest weights of channels',
      text: 'The further apart, the more a scale for each channel gains over one for all.',
      names: convs.map(({ name }) => name),
      lines: [
        {
          name: 'largest channel',
          style: 'a',
          values: convs.map(({ weights }) => Math.max(...(weights?.channels ?? []))),
        },
        { name: 'median channel', style: 'b', values: convs.map(({ weights }) => middle(weights?.channels ?? [])) },
      ],
      log: true,
    }),
  ];
  return page(
    `Quantisation of ${report.model}`,
    `<header>
<h1>Quantisation report</h1>
<p>${escapeHtml(report.model)}</p>
</header>
${facts(report)}
<main>
${figures.join('\n')}
</main>
<section>
<h2>Layers</h2>
${table(report)}
</section>
<section>
<h2>Distributions</h2>
<p>Counts are on a logarithmic scale; what is clamped is in <span class="legend clamped">another colour</span>.</p>
<div class="cards">${layers.map(card).join('\n')}</div>
</section>`,
  );
}

/** The smallest and largest number that integers stand for; undefined where there are none. */
function keptBy({ scale, zeroPoint = 0, min }: ActivationReport): readonly [low: number, high: number] | undefined {
  return scale === undefined ? undefined : [min < 0 ? -zeroPoint * scale : 0, (255 - zeroPoint) * scale];
}

function clampedPercent({ scale, saturation }: ActivationReport): number | undefined {
  return scale === undefined ? undefined : 100 * saturation;
}

function middle(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

function facts({ recipe, bytes, floatBytes, layers, output }: QuantizationReport): string {
  const convs = layers.filter(({ kind }) => kind === 'conv');
  const integer = convs.filter(({ precision }) => precision === 'int8').length;
  const worst = layers.reduce((least, layer) => (layer.sqnr < least.sqnr ? layer : least));
  const entries: readonly (readonly [string, string])[] = [
    ['method', `${recipe.method}, ${recipe.scheme}, ${recipe.perChannel ? 'per channel' : 'per tensor'}`],
    ['bits', `${recipe.weightBits} weights, ${recipe.activationBits} activations`],
    ['equalised', recipe.equalize ? 'yes' : 'no'],
    ['biases corrected', recipe.biasCorrection ? 'yes' : 'no'],
    ['calibration', `${recipe.images} images`],
    ['layers in integers', `${integer} of ${convs.length}`],
    ['size', `${(bytes / 1024).toFixed(1)} KiB, ${((100 * bytes) / floatBytes).toFixed(1)} % of float32`],
    ['logits', `${decibels(output.sqnr)} dB`],
    ['worst layer', `${worst.name}, ${decibels(worst.sqnr)} dB`],
  ];
  return `<dl>${entries.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`).join('')}</dl>`;
}

function decibels(value: number): string {
  return Number.isFinite(value) ? value.toFixed(1) : '∞';
}

function table({ layers, output }: QuantizationReport): string {
  const head = ['layer', 'precision', 'min', 'max', 'scale', 'zero point', 'clamped', 'weights dB', 'output dB'];
  const cells = (
    name: string,
    precision: string,
    tensor: ActivationReport,
    weights: string,
    sqnr: string,
  ): string[] => [
    ...[name, precision, format(tensor.min), format(tensor.max)],
    ...(tensor.scale === undefined
      ? ['', '', '']
      : [format(tensor.scale), `${tensor.zeroPoint}`, percent(tensor.saturation)]),
    ...[weights, sqnr],
  ];
  const rows = layers.map((layer) =>
    cells(layer.name, layer.precision, layer, layer.weights ? decibels(layer.weights.sqnr) : '', decibels(layer.sqnr)),
  );
  rows.push(cells('output', output.scale === undefined ? 'float32' : 'int8', output, '', decibels(output.sqnr)));
  return dataTable(head, rows);
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}

function card(layer: LayerReport): string {
  const { name, precision, activations, weights } = layer;
  const plots = [`<h4>goes in</h4>${histogramPlot(`${name}: activations`, activations, keptBy(layer))}`];
  if (weights) plots.push(`<h4>weights</h4>${histogramPlot(`${name}: weights`, weights.histogram)}`);
  return `<article><h3>${escapeHtml(name)} <small>${precision}</small></h3>${plots.join('')}</article>`;
}
