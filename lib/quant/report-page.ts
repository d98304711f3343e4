import { escapeHtml, format, histogramPlot, linePlot } from './plots';
import type { ActivationReport, LayerReport, QuantizationReport } from './report';

/**
 * A report as one HTML page with plots: it needs no other file and no network, and follows the browser's choice of light or
 * dark.
 *
 * @example
 * const { report } = await quantize(network, images);
 * await writeFile('report.html', renderReport(report));
 */
export function renderReport(report: QuantizationReport): string {
  const { layers, output } = report;
  const convs = layers.filter(({ weights }) => weights !== undefined);
  const names = [...layers.map(({ name }) => name), 'output'];
  const tensors: readonly ActivationReport[] = [...layers, output];
  const noise = linePlot(
    'Signal to quantisation noise',
    layers.map(({ name }) => name),
    [
      { name: 'output', style: 'a', values: layers.map(({ sqnr }) => sqnr) },
      { name: 'weights', style: 'b', values: layers.map(({ weights }) => weights?.sqnr) },
    ],
    { unit: 'dB' },
  );
  const ranges = linePlot(
    'Largest activations',
    names,
    [
      { name: 'seen', style: 'a', values: tensors.map(({ min, max }) => Math.max(-min, max)) },
      { name: 'kept', style: 'b', values: tensors.map((tensor) => keptBy(tensor)?.[1]) },
    ],
    { unit: '', log: true },
  );
  const saturation = linePlot(
    'Clamped activations',
    names,
    [
      {
        name: 'clamped',
        style: 'a',
        values: tensors.map((tensor) => (tensor.scale ? 100 * tensor.saturation : undefined)),
      },
    ],
    { unit: '%' },
  );
  const channels = linePlot(
    'Largest weights of channels',
    convs.map(({ name }) => name),
    [
      {
        name: 'largest channel',
        style: 'a',
        values: convs.map(({ weights }) => Math.max(...(weights?.channels ?? []))),
      },
      { name: 'median channel', style: 'b', values: convs.map(({ weights }) => middle(weights?.channels ?? [])) },
    ],
    { unit: '', log: true },
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Quantisation of ${escapeHtml(report.model)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>Quantisation report</h1>
<p>${escapeHtml(report.model)}</p>
</header>
${facts(report)}
<main>
${figure('Signal to quantisation noise', 'Of what each layer puts out against the float model, on the first calibration images, and of its weights alone. Higher is better; 6 dB are one bit.', noise, ['output', 'weights'])}
${figure('Largest activations', 'What goes into each layer: the largest number that was seen, and the largest that its integers keep. One scale serves all channels.', ranges, ['seen', 'kept'])}
${figure('Clamped activations', 'Share of the numbers that go into each layer and lie beyond what is kept.', saturation, ['clamped'])}
${figure('Largest weights of channels', 'The further apart, the more a scale for each channel gains over one for all.', channels, ['largest channel', 'median channel'])}
</main>
<section>
<h2>Layers</h2>
<div class="scroll">${table(report)}</div>
</section>
<section>
<h2>Distributions</h2>
<p>Counts are on a logarithmic scale; what is clamped is in <span class="legend clamped">another colour</span>.</p>
<div class="cards">${layers.map(card).join('\n')}</div>
</section>
</body>
</html>
`;
}

/** The smallest and largest number that integers stand for; undefined where there are none. */
function keptBy({ scale, zeroPoint = 0, min }: ActivationReport): readonly [low: number, high: number] | undefined {
  return scale === undefined ? undefined : [min < 0 ? -zeroPoint * scale : 0, (255 - zeroPoint) * scale];
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

function figure(title: string, text: string, plot: string, lines: readonly string[]): string {
  const legend = lines.map((name, i) => `<span class="legend ${i === 0 ? 'a' : 'b'}">${name}</span>`).join(' ');
  return `<figure><figcaption><h2>${title}</h2><p>${text}</p><p>${legend}</p></figcaption><div class="scroll">${plot}</div></figure>`;
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
  const row = (list: readonly string[], tag: 'th' | 'td'): string =>
    `<tr>${list.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  return `<table><thead>${row(head, 'th')}</thead><tbody>${rows.map((cell) => row(cell, 'td')).join('')}</tbody></table>`;
}

function percent(share: number): string {
  return `${format(100 * share)} %`;
}

function card(layer: LayerReport): string {
  const { name, precision, activations, weights } = layer;
  const plots = [`<h4>goes in</h4>${histogramPlot(`${name}: activations`, activations, keptBy(layer))}`];
  if (weights) plots.push(`<h4>weights</h4>${histogramPlot(`${name}: weights`, weights.histogram)}`);
  return `<article><h3>${escapeHtml(name)} <small>${precision}</small></h3>${plots.join('')}</article>`;
}

const style = `
:root { color-scheme: light dark; --page: #fff; --card: #f5f6f8; --text: #1c2430; --soft: #5b6675; --line: #d5dae1; --a: #0b62c4; --b: #c2570c; --clamped: #c4253a; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12161c; --card: #1b212a; --text: #e4e9f0; --soft: #9aa6b5; --line: #364150; --a: #6cb2ff; --b: #f0a35e; --clamped: #ff7b86; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1280px; padding: 16px; background: var(--page); color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6em; } h2 { margin: 0; font-size: 1.1em; } h3 { margin: 0; font-size: 1em; }
h4 { margin: 8px 0 2px; font-size: 0.8em; font-weight: normal; color: var(--soft); } small { font-weight: normal; color: var(--soft); }
p { margin: 4px 0; color: var(--soft); } header p { overflow-wrap: anywhere; }
dl { display: flex; flex-wrap: wrap; gap: 8px; margin: 16px 0; }
dl div { background: var(--card); border-radius: 8px; padding: 8px 12px; } dt { color: var(--soft); font-size: 0.8em; } dd { margin: 0; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 520px), 1fr)); gap: 16px; }
figure, article { margin: 0; background: var(--card); border-radius: 8px; padding: 12px; min-width: 0; }
section { margin: 24px 0; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin-top: 8px; }
th, td { padding: 3px 10px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: normal; } th:first-child, td:first-child { text-align: left; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 240px), 1fr)); gap: 12px; margin-top: 8px; }
svg { display: block; width: 100%; height: auto; } figure svg { min-width: 560px; } svg text { fill: var(--soft); font-size: 11px; }
.grid { stroke: var(--line); } .line { fill: none; stroke-width: 1.8; } .line.a { stroke: var(--a); } .line.b { stroke: var(--b); }
circle.a, .bar { fill: var(--a); } circle.b { fill: var(--b); } rect.clamped { fill: var(--clamped); }
.legend::before { content: '■ '; } .legend.a::before { color: var(--a); } .legend.b::before { color: var(--b); } .legend.clamped { color: var(--clamped); }
`;
