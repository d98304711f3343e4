import { type QuantizationReport, quantize, randn, renderReport } from '../../lib';
import { format, histogramPlot, linePlot } from '../../lib/html/plots';
import { deployNetwork, tiny } from '../support/networks';
import { expectRefusal } from '../support/refusal';

const count = (text: string, part: string | RegExp): number => text.split(part).length - 1;

describe('the page', () => {
  let report: QuantizationReport;
  let page: string;

  beforeAll(async () => {
    const options = { keepFloat: ['stage2.0'], quantizeLogits: true, method: 'percentile', percentile: 99 } as const;
    ({ report } = await quantize(deployNetwork('qarepvgg_a0', tiny), [randn([4, 2, 17, 17])], options));
    page = renderReport(report);
  });

  test('needs nothing else: no scripts, no other files', () => {
    expect(page).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(page).not.toMatch(/<script|<link|<img|src=|href=|url\(|@import|http/);
    expect(page).toContain('@media screen and (prefers-color-scheme: dark)');
    expect(page).toContain('<meta name="viewport" content="width=device-width, initial-scale=1">');
  });

  test('shows every layer: in the table, in the plots, and its distributions', () => {
    for (const { name } of report.layers) {
      expect(page).toContain(`<td>${name}</td>`);
      expect(page).toContain(`<h3>${name} <small>`);
    }
    // Four plots of lines; the activations of all layers, the weights of all but the average.
    expect(count(page, '<svg ')).toBe(4 + 9 + 8);
    expect(count(page, '<h4>weights</h4>')).toBe(8);
    expect(page).toContain('7 of 8');
    expect(page).toContain('class="clamped"');
  });

  test('is well-formed: what is opened is closed, no number is missing', () => {
    for (const tag of ['svg', 'table', 'tr', 'td', 'figure', 'section', 'article', 'div', 'text', 'dl', 'dd']) {
      expect([tag, count(page, new RegExp(`<${tag}[ >]`))]).toEqual([tag, count(page, `</${tag}>`)]);
    }
    expect(page).not.toMatch(/NaN|undefined|Infinity|\[object/);
  });

  test.each<[string, (copy: { [key: string]: unknown } & QuantizationReport) => unknown, string]>([
    ['nothing', () => undefined, 'report: expected an object, received undefined'],
    ['an empty object', () => ({}), 'report.model: expected text, received undefined'],
    ['no recipe', (copy) => ({ ...copy, recipe: undefined }), 'report.recipe: expected an object'],
    ['no layers', (copy) => ({ ...copy, layers: [] }), 'report.layers: expected a list that is not empty'],
    ['an odd layer', (copy) => ({ ...copy, layers: [copy.layers[0], {}] }), 'report.layers[1].name: expected text'],
    [
      'no distribution',
      (copy) => ({ ...copy, output: { ...copy.output, activations: 1 } }),
      'report.output.activations',
    ],
    ['text for a number', (copy) => ({ ...copy, bytes: '12' }), 'report.bytes: expected a number, received "12"'],
    [
      'a getter that throws',
      () =>
        Object.defineProperty({}, 'model', {
          get: () => {
            throw new RangeError('thrown by the caller');
          },
        }),
      'a readable object',
    ],
  ])('refuses %s', (_, change, message) => {
    expectRefusal(() => renderReport(change({ ...report }) as never), 'ERR_INVALID_ARG', message);
  });

  test('is as good without noise, and after JSON, where that is null', async () => {
    const copy = JSON.parse(JSON.stringify(report)) as QuantizationReport;
    expect(renderReport(copy)).toBe(page);
    const zeros = { data: new Float32Array(2 * 289), dims: [1, 2, 17, 17] };
    const odd = await quantize(deployNetwork('qarepvgg_a0', tiny), [zeros]);
    expect(renderReport(odd.report)).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe('plots', () => {
  test('text is escaped', () => {
    const plot = linePlot({ title: 'a <b> & "c"', names: ['<x>'], lines: [{ name: '&', style: 'a', values: [1] }] });
    expect(plot).toContain('aria-label="a &lt;b&gt; &amp; &quot;c&quot;"');
    expect(plot).not.toContain('<x>');
  });

  test('a line has a gap where a value is missing', () => {
    const lines = [{ name: 'n', style: 'a', values: [1, 2, undefined, 4, 5] }] as const;
    const plot = linePlot({ title: 't', names: ['1', '2', '3', '4', '5'], lines });
    expect(count(plot.match(/class="line a" d="([^"]*)"/)?.[1] ?? '', 'M')).toBe(2);
    expect(count(plot, '<circle')).toBe(4);
  });

  test('higher values are higher, on both kinds of axis', () => {
    for (const log of [false, true]) {
      const lines = [{ name: 'n', style: 'a', values: [1, 30, 2] }] as const;
      const plot = linePlot({ title: 't', names: ['1', '2', '3'], lines, log });
      const [a, b, c] = [...plot.matchAll(/cy="([\d.]+)"/g)].map(([, y]) => Number(y)) as [number, number, number];
      expect(b).toBeLessThan(c);
      expect(c).toBeLessThan(a);
    }
  });

  test('what is clamped in a histogram is marked', () => {
    const plot = histogramPlot('t', { low: 0, high: 4, counts: [9, 0, 1, 1] }, [0, 2.9]);
    const bars = (style: string): number =>
      count(plot.match(new RegExp(`class="${style}"[^>]* d="([^"]*)"`))?.[1] ?? '', 'M');
    expect([bars('bar'), bars('clamped')]).toEqual([2, 1]);
  });

  test('numbers in few characters', () => {
    expect([0, 1, -1234.5, 0.012345, 123456, 1e-7, 1 / 0].map(format)).toEqual([
      ...['0', '1', '-1230', '0.0123', '1.2e+5', '1.0e-7', '∞'],
    ]);
  });
});
