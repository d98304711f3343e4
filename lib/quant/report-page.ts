import { boundary } from '../errors';
import { bytesText, countOf, percent } from '../figures';
import { dataTable, lineFigure, page } from '../html/page';
import { escapeHtml, format, histogramPlot } from '../html/plots';
import { checkReport } from './check-report';
import type { AccuracyReport, ActivationReport, LayerReport, QuantizationReport } from './report';

export function renderReport(report: QuantizationReport): string {
  boundary('renderReport, report', () => checkReport(report));
  const prefix = commonPrefix(report.layers);
  return pageOf(prefix === '' ? report : withoutPrefix(report, prefix.length), prefix);
}

/** The folders that all names of nodes begin with. */
function commonPrefix(layers: readonly LayerReport[]): string {
  const [first, ...others] = layers.map(({ name }) => name);
  if (first === undefined || others.length === 0) return '';
  let length = first.length;
  for (const name of others) while (name.slice(0, length) !== first.slice(0, length)) length--;
  return first.slice(0, first.lastIndexOf('/', length - 1) + 1);
}

function withoutPrefix(report: QuantizationReport, length: number): QuantizationReport {
  const layers = report.layers.map((layer) => ({ ...layer, name: layer.name.slice(length) }));
  return { ...report, layers };
}

function pageOf(report: QuantizationReport, prefix: string): string {
  const { layers, output } = report;
  const convs = layers.filter(({ weights }) => weights !== undefined);
  const names = [...layers.map(({ name }) => name), 'output'];
  const tensors: readonly ActivationReport[] = [...layers, output];
  const figures = [
    lineFigure({
      title: 'Signal to quantisation noise',
      text: 'For the output of each layer, against the float model on the first calibration images, and for its weights alone. Higher is better: 6 dB is one bit.',
      names: layers.map(({ name }) => name),
      lines: [
        { name: 'output', style: 'a', values: layers.map(({ sqnr }) => sqnr) },
        { name: 'weights', style: 'b', values: layers.map(({ weights }) => weights?.sqnr) },
      ],
      unit: 'dB',
    }),
    lineFigure({
      title: 'Largest activations',
      text: 'The largest input of each layer on the calibration images, and the largest that its integers can represent. All channels share one scale.',
      names,
      lines: [
        { name: 'seen', style: 'a', values: tensors.map(({ min, max }) => Math.max(-min, max)) },
        { name: 'kept', style: 'b', values: tensors.map((tensor) => keptBy(tensor)?.[1]) },
      ],
      log: true,
    }),
    lineFigure({
      title: 'Clamped activations',
      text: 'Share of the input of each layer that is beyond the range of its integers.',
      names,
      lines: [{ name: 'clamped', style: 'a', values: tensors.map(clampedPercent) }],
      unit: '%',
    }),
    lineFigure({
      title: 'Largest weights of channels',
      text: 'The further apart the lines are, the more a scale for each channel gains over one for all.',
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
<p>${escapeHtml(report.model)}${dateOf(report)}</p>
</header>
${facts(report)}
${warningOf(report)}
<main>
${figures.join('\n')}
</main>
<section>
<h2>${report.outputs ? 'Nodes' : 'Layers'}</h2>${prefix === '' ? '' : `\n<p>Their names begin with ${escapeHtml(prefix)}</p>`}
${table(report)}
</section>
${floatTable(report)}
<section>
<h2>Distributions</h2>
<p>Counts are on a logarithmic scale; <span class="legend clamped">clamped</span> numbers are in another colour.</p>
<div class="cards">${layers.map(card).join('\n')}</div>
</section>`,
  );
}

function warningOf(report: QuantizationReport): string {
  const [text, flag = ''] = adviceText(report)?.split('\n') ?? [];
  if (text === undefined) return '';
  return `<div class="warning"><p>${escapeHtml(text)}</p><pre>${escapeHtml(flag)}</pre></div>`;
}

/** What a report says of outputs with much noise; nothing where there are none. */
export function adviceText({ advice, output, outputs = [] }: QuantizationReport): string | undefined {
  if (!advice) return undefined;
  const { keepFloat, sqnr } = advice;
  const worst = outputs.find((one) => one.sqnr === output.sqnr);
  const { name = '', judgedBy } = worst ?? {};
  const behind = judgedBy ? `, judged by what is compared (${judgedBy.join(', ')}),` : '';
  const nodes = keepFloat.length === 1 ? 'this node' : 'these nodes';
  return `Output ${name}${behind} has ${decibels(output.sqnr)} dB of signal to noise. With ${nodes} in float, the worst output has ${decibels(sqnr)} dB:\n${keepFloatFlag(keepFloat)}`;
}

/** A flag of the command line, quoted for a shell where it must be. It parts names at commas, which a pattern stands in for. */
function keepFloatFlag(names: readonly string[]): string {
  const list = names.map((name) => name.replaceAll(',', '?')).join(',');
  const isPlain = /^[\w@%+=:,./-]+$/.test(list);
  return `--keep-float ${isPlain ? list : `'${list.replace(/'/g, `'\\''`)}'`}`;
}

/** Reports of earlier versions have no date. */
function dateOf({ createdAt }: QuantizationReport): string {
  return createdAt === undefined ? '' : `; ${escapeHtml(createdAt.slice(0, 16).replace('T', ' '))} UTC`;
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

function facts({ recipe, bytes, floatBytes, layers, output, outputs, accuracy }: QuantizationReport): string {
  // Of a graph, all that could compute in integers; of a network, what has weights.
  const judged = outputs ? layers : layers.filter(({ kind }) => kind === 'conv');
  const integer = judged.filter(({ precision }) => precision === 'int8').length;
  const [first, ...others] = layers;
  const worst = others.reduce((least, layer) => (least && layer.sqnr < least.sqnr ? layer : least), first);
  const entries: readonly (readonly [string, string])[] = [
    ...(accuracy ? accuracyFacts(accuracy) : []),
    ['method', `${recipe.method}, ${recipe.scheme}, ${recipe.perChannel ? 'per channel' : 'per tensor'}`],
    ['bits', `${recipe.weightBits} weights, ${recipe.activationBits} activations`],
    ['equalised', recipe.equalize ? 'yes' : 'no'],
    ['biases corrected', recipe.biasCorrection ? 'yes' : 'no'],
    ['calibration', countOf(recipe.images, 'image')],
    [outputs ? 'nodes in integers' : 'layers in integers', `${integer} of ${judged.length}`],
    ['size', `${bytesText(bytes)}, ${((100 * bytes) / floatBytes).toFixed(1)} % of float32`],
    ...(outputs?.map(({ name, sqnr }): [string, string] => [name, `${decibels(sqnr)} dB`]) ?? [
      ['logits', `${decibels(output.sqnr)} dB`] as const,
    ]),
    ...(worst ? [[outputs ? 'worst node' : 'worst layer', `${worst.name}, ${decibels(worst.sqnr)} dB`] as const] : []),
  ];
  return `<dl>${entries.map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`).join('')}</dl>`;
}

function accuracyFacts({ images, float, quantized, agreement }: AccuracyReport): [string, string][] {
  return [
    ['accuracy in float', percent(float)],
    ['accuracy quantised', percent(quantized)],
    [`same predictions of ${images.toLocaleString('en-US')}`, percent(agreement)],
  ];
}

function decibels(value: number): string {
  return Number.isFinite(value) ? value.toFixed(1) : '∞';
}

function table({ layers, output, outputs }: QuantizationReport): string {
  const isGraph = outputs !== undefined;
  const names = isGraph ? ['node', 'operator'] : ['layer'];
  const figures = ['precision', 'min', 'max', 'scale', 'zero point', 'clamped', 'weights dB', 'output dB'];
  const cells = (
    [name, kind]: readonly [name: string, kind: string],
    precision: string,
    tensor: ActivationReport,
    weights: string,
    sqnr: string,
  ): string[] => {
    const { min, max, scale, zeroPoint, saturation } = tensor;
    const integers = scale === undefined ? ['', '', ''] : [format(scale), `${zeroPoint}`, saturationText(saturation)];
    const what = isGraph ? [name, kind] : [name];
    return [...what, precision, format(min), format(max), ...integers, weights, sqnr];
  };
  const rows = layers.map((layer) =>
    cells(
      [layer.name, layer.kind],
      layer.precision,
      layer,
      layer.weights ? decibels(layer.weights.sqnr) : '',
      decibels(layer.sqnr),
    ),
  );
  for (const one of outputs ?? [{ name: 'output', ...output }]) {
    rows.push(cells([one.name, 'output'], one.scale === undefined ? 'float32' : 'int8', one, '', decibels(one.sqnr)));
  }
  return dataTable([...names, ...figures], rows);
}

/** Nodes that stay in float and why, by reason. */
function floatTable({ layers }: QuantizationReport): string {
  const kept = layers.filter(({ reason }) => reason !== undefined);
  if (kept.length === 0) return '';
  const rows = kept.map(({ name, kind, reason = '' }) => [name, kind, reason]);
  return `<section>
<h2>Nodes in float</h2>
<p>They could compute in integers.</p>
${dataTable(['node', 'operator', 'reason'], rows)}
</section>`;
}

function saturationText(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}

function card(layer: LayerReport): string {
  const { name, precision, activations, weights } = layer;
  const plots = [`<h4>input</h4>${histogramPlot(`${name}: activations`, activations, keptBy(layer))}`];
  if (weights) plots.push(`<h4>weights</h4>${histogramPlot(`${name}: weights`, weights.histogram)}`);
  return `<article><h3>${escapeHtml(name)} <small>${precision}</small></h3>${plots.join('')}</article>`;
}
