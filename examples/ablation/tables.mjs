// The tables in Markdown.

import { tablesOf } from './summary.mjs';

/** @param {readonly import('./measure.mjs').Result[]} results */
export function renderTables(results) {
  return `${tablesOf(results).map(renderTable).join('\n')}`;
}

/** @param {import('./summary.mjs').Table} table */
function renderTable({ title, text, head, rows }) {
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  return `### ${title}\n\n${text}\n\n${lines.join('\n')}\n`;
}
