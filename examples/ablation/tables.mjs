// The tables in Markdown.

import { tablesOf } from './summary.mjs';

/** @param {readonly import('./measure.mjs').Result[]} results */
export function renderTables(results) {
  return tablesOf(results).map(renderTable).join('\n');
}

/** @param {import('./summary.mjs').Table} table */
function renderTable({ title, text, head, rows }) {
  const widths = head.map((cell, i) => Math.max(3, cell.length, ...rows.map((row) => row[i]?.length ?? 0)));
  /** @param {readonly string[]} cells */
  const line = (cells) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const lines = [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)];
  return `### ${title}\n\n${text}\n\n${lines.join('\n')}\n`;
}
