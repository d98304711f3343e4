/**
 * Plots as SVG, for pages that style them: colours come from CSS variables, so that one picture serves light and dark. There
 * is no size in pixels; a plot is as wide as its place.
 */

/** Colours of lines: classes that the style of a page knows. */
export type LineStyle = 'a' | 'b' | 'c' | 'd' | 'e' | 'f';

/** What can be drawn in a plot of lines. */
export interface Line {
  readonly name: string;
  /** Its colour on a page. */
  readonly style: LineStyle;
  /** One value for each place on the x axis; undefined leaves a gap. */
  readonly values: readonly (number | undefined)[];
}

/** Text in HTML. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

const [width, height, left, bottom, top] = [720, 274, 52, 108, 22];
const plotHeight = height - bottom - top;

/** What {@link linePlot} draws. */
export interface LinePlotOptions {
  readonly title: string;
  /** Places on the x axis. */
  readonly names: readonly string[];
  readonly lines: readonly Line[];
  /** Written beside the y axis. @default none */
  readonly unit?: string;
  /** A logarithmic y axis, which cannot show numbers of 0 and below. @default false */
  readonly log?: boolean;
}

/** Labels that have room below a plot of lines, side by side, and letters that have room below each other. */
const [maxLabels, maxLetters] = [44, 18];

/** The end of a name tells more than its beginning. */
function shortened(name: string): string {
  return name.length > maxLetters ? `…${name.slice(1 - maxLetters)}` : name;
}

/** Lines over named places. */
export function linePlot({ title, names, lines, unit = '', log = false }: LinePlotOptions): string {
  const shown = lines.flatMap(({ values }) => values.filter((value) => isShown(value, log))) as number[];
  const scale = axis(shown, log);
  const x = (i: number): number => left + ((i + 0.5) * (width - left - 8)) / names.length;
  const y = (value: number): number => top + plotHeight * (1 - scale.place(value));
  const grid = scale.ticks.map((tick) => {
    const at = y(tick).toFixed(1);
    return `<path class="grid" d="M${left} ${at}H${width - 8}"/><text x="${left - 6}" y="${at}" dy="4" text-anchor="end">${format(tick)}</text>`;
  });
  const every = Math.ceil(names.length / maxLabels);
  const labels = names.map((name, i) => {
    if (i % every !== 0) return '';
    const at = `${x(i).toFixed(1)} ${height - bottom + 12}`;
    return `<text transform="translate(${at}) rotate(-60)" text-anchor="end">${escapeHtml(shortened(name))}</text>`;
  });
  const paths = lines.map(({ name, style, values }) => {
    const points = values.map((value, i) => (isShown(value, log) ? ([x(i), y(value as number)] as const) : undefined));
    const path = points.map(
      (point, i) => point && `${points[i - 1] ? 'L' : 'M'}${point.map((at) => at.toFixed(1)).join(' ')}`,
    );
    const dots = points.map(
      (point, i) =>
        point &&
        `<circle class="${style}" cx="${point[0].toFixed(1)}" cy="${point[1].toFixed(1)}" r="3"><title>${escapeHtml(`${names[i]}, ${name}: ${format(values[i] as number)} ${unit}`)}</title></circle>`,
    );
    return `<path class="line ${style}" d="${path.join('')}"/>${dots.join('')}`;
  });
  return svg(title, height, [
    ...grid,
    `<text x="${left - 6}" y="10" text-anchor="end">${escapeHtml(unit)}</text>`,
    ...labels,
    ...paths,
  ]);
}

/** Bars side by side, on a logarithmic scale that shows rare values too. Between `kept` nothing is clamped. */
export function histogramPlot(
  title: string,
  { low, high, counts }: { readonly low: number; readonly high: number; readonly counts: readonly number[] },
  kept?: readonly [low: number, high: number],
): string {
  const [w, h, base] = [260, 84, 68];
  const most = Math.log10(Math.max(...counts, 1) + 1);
  const step = w / counts.length;
  const bars = { bar: '', clamped: '' };
  counts.forEach((count, i) => {
    if (count === 0) return;
    const bar = Math.max(1, (base - 4) * (Math.log10(count + 1) / most));
    const middle = low + ((i + 0.5) * (high - low)) / counts.length;
    const isClamped = kept !== undefined && (middle < kept[0] || middle > kept[1]);
    bars[isClamped ? 'clamped' : 'bar'] += `M${tenths((i + 0.5) * step)} ${base}V${tenths(base - bar)}`;
  });
  const thick = tenths(step * 0.9);
  const paths = Object.entries(bars).map(([style, path]) =>
    path === '' ? '' : `<path class="${style}" stroke-width="${thick}" d="${path}"/>`,
  );
  const ends = [
    `<text x="0" y="${h - 3}">${format(low)}</text>`,
    `<text x="${w}" y="${h - 3}" text-anchor="end">${format(high)}</text>`,
  ];
  const axisLine = `<path class="grid" d="M0 ${base}H${w}"/>`;
  return svg(title, h, [axisLine, ...paths, ...ends], w);
}

function svg(title: string, viewHeight: number, content: readonly string[], viewWidth = width): string {
  const name = escapeHtml(title);
  return `<svg viewBox="0 0 ${viewWidth} ${viewHeight}" role="img" aria-label="${name}"><title>${name}</title>${content.join('')}</svg>`;
}

/** A place in a picture; tenths of a pixel are fine enough. */
function tenths(value: number): string {
  return String(Number(value.toFixed(1)));
}

function isShown(value: number | undefined, log: boolean): boolean {
  return value !== undefined && Number.isFinite(value) && (!log || value > 0);
}

interface Axis {
  readonly ticks: readonly number[];
  /** 0 at the bottom, 1 at the top. */
  place(value: number): number;
}

function axis(values: readonly number[], log: boolean): Axis {
  if (log) return logAxis(values.length > 0 ? values : [1]);
  const [least, most] = [Math.min(0, ...values), Math.max(0, ...values)];
  const step = niceStep((most - least || 1) / 4);
  const [low, high] = [Math.floor(least / step) * step, Math.max(step, Math.ceil(most / step) * step)];
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => low + i * step);
  return { ticks, place: (value) => (value - low) / (high - low) };
}

/**
 * From one multiple of a power of ten by 1, 2 or 5 to another, with ticks at all of them, or at powers of ten where those
 * are many.
 */
function logAxis(values: readonly number[]): Axis {
  const least = Math.min(...values);
  const most = Math.max(...values, least * 1.001);
  const few = most / least < 1000;
  const powers = Array.from(
    { length: Math.ceil(Math.log10(most)) - Math.floor(Math.log10(least)) + 1 },
    (_, i) => 10 ** (Math.floor(Math.log10(least)) + i),
  );
  const marks = few ? powers.flatMap((power) => [power, 2 * power, 5 * power]) : powers;
  const first = marks.findLastIndex((mark) => mark <= least * 1.000001);
  const last = marks.findIndex((mark) => mark >= most * 0.999999);
  const ticks = marks.slice(first, last + 1);
  const [low, high] = [ticks[0] as number, ticks.at(-1) as number];
  return { ticks, place: (value) => Math.log(value / low) / Math.log(high / low) };
}

/** 1, 2 or 5 times a power of ten, not below `step`. */
function niceStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= step * 0.999) as number);
}

/** A number as a short text. */
export function format(value: number): string {
  if (value === 0) return '0';
  if (!Number.isFinite(value)) return '∞';
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(1) : `${Number(value.toPrecision(3))}`;
}
