// A bar chart as an SVG image.

import { escapeHtml } from 'qarepvgg/html';

/**
 * @typedef {{ label: string, values: readonly number[] }} Group one value for each series
 */

const colours = ['#2266aa', '#77aadd', '#bbbbbb'];
const [barHeight, gap, left, width, top] = [16, 14, 170, 520, 64];

/**
 * Horizontal bars in groups.
 *
 * @param {string} title @param {readonly string[]} series @param {readonly Group[]} groups @param {(value: number) => string} format
 */
export function barChart(title, series, groups, format) {
  const groupHeight = series.length * barHeight + gap;
  const height = top + groups.length * groupHeight;
  const largest = Math.max(...groups.flatMap(({ values }) => values));
  const bars = groups.flatMap(({ label, values }, group) => {
    const y = top + group * groupHeight;
    return [
      text(left - 10, y + (series.length * barHeight) / 2 + 4, label, 'end'),
      ...values.flatMap((value, i) => {
        const length = (value / largest) * width;
        const bar = `<rect x="${left}" y="${y + i * barHeight}" width="${length.toFixed(1)}" height="${barHeight - 2}" fill="${colours[i]}"/>`;
        return [bar, text(left + length + 6, y + i * barHeight + 11, format(value), 'start')];
      }),
    ];
  });
  const legend = series.flatMap((name, i) => [
    `<rect x="${left + i * 170}" y="36" width="12" height="12" fill="${colours[i]}"/>`,
    text(left + i * 170 + 18, 46, name, 'start'),
  ]);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${left + width + 80}" height="${height}" font-family="sans-serif" font-size="12">
<title>${escapeHtml(title)}</title>
<rect width="100%" height="100%" fill="white"/>
${[text(left, 22, title, 'start', 'font-weight="bold"'), ...legend, ...bars].join('\n')}
</svg>
`;
}

/** @param {number} x @param {number} y @param {string} content @param {'start' | 'end'} anchor */
function text(x, y, content, anchor, attributes = '') {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="black" ${attributes}>${escapeHtml(content)}</text>`;
}
