// Rows of a comparison as tables.

/**
 * @typedef {import('./inference.mjs').Row} Row
 * @typedef {readonly (readonly string[])[]} Table the first row is the head
 */

/** @param {readonly Row[]} rows @returns {Table} */
export function toTable(rows) {
  const isTimedWork = rows.every(({ macs }) => macs !== undefined);
  const head = ['', 'threads', 'batch', 'unit', 'ours', 'min', 'median', 'theirs min', 'median', 'ratio [range]'];
  if (isTimedWork) head.push('GOP/s, ours / theirs / peak');
  const lines = rows.flatMap((row) =>
    row.ours.map(({ label, spread, ratio }) => {
      const cells = [row.what, `${row.threads}`, `${row.batch ?? ''}`, row.unit, label];
      for (const { min, median } of [spread, row.theirs]) cells.push(digits(min), digits(median));
      cells.push(`${ratio.median.toFixed(2)} [${ratio.low.toFixed(2)}-${ratio.high.toFixed(2)}]`);
      if (row.macs !== undefined) {
        const speeds = [spread, row.theirs].map(({ median }) => ((2 * Number(row.macs)) / median / 1e6).toFixed(0));
        cells.push([...speeds, Number(row.peak).toFixed(0)].join(' / '));
      }
      return cells;
    }),
  );
  return [head, ...lines];
}

/** Three significant digits. @param {number} value */
function digits(value) {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** For a terminal. @param {Table} table */
export function toText(table) {
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((cells) => (cells[column] ?? '').length)));
  const pad = (/** @type {string} */ cell, /** @type {number} */ column) =>
    column === 0 ? cell.padEnd(Number(widths[column])) : cell.padStart(Number(widths[column]));
  return table.map((cells) => `  ${cells.map(pad).join('  ').trimEnd()}\n`).join('');
}

/** @param {Table} table */
export function toMarkdown(table) {
  const [head = [], ...lines] = table;
  const rule = head.map((_, column) => (column === 0 ? '---' : '--:'));
  return [head, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}
