import { escapeHtml, type LinePlotOptions, linePlot } from './plots';

/** A plot of lines and what is said about it. */
export interface LineFigure extends LinePlotOptions {
  /** What the plot shows, in a sentence or two. */
  readonly text: string;
}

/**
 * A page of HTML that needs no other file and no network, and follows the browser's choice of light or dark.
 *
 * @param title In plain text.
 * @param body HTML.
 *
 * @example
 * const lines = [{ name: 'loss', style: 'a', values: losses }] as const;
 * const figure = lineFigure({ title: 'Loss', text: 'Of every epoch.', names: losses.map((_, i) => `${i + 1}`), lines });
 * await writeFile('training.html', page('Training', `<main>${figure}</main>`));
 */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
${body}
</body>
</html>
`;
}

/** A plot of lines with title, text and legend. */
export function lineFigure(options: LineFigure): string {
  const { title, text, lines } = options;
  const legend = lines.map(({ name, style }) => `<span class="legend ${style}">${escapeHtml(name)}</span>`).join(' ');
  const caption = `<h2>${escapeHtml(title)}</h2><p>${escapeHtml(text)}</p><p>${legend}</p>`;
  return `<figure><figcaption>${caption}</figcaption><div class="scroll">${linePlot(options)}</div></figure>`;
}

/** A table of texts; it scrolls where it is wider than the page. */
export function dataTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[], tag: 'th' | 'td'): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  const body = rows.map((cells) => row(cells, 'td')).join('');
  return `<div class="scroll"><table><thead>${row(head, 'th')}</thead><tbody>${body}</tbody></table></div>`;
}

const style = `
:root { color-scheme: light dark; --page: #fff; --card: #f5f6f8; --text: #1c2430; --soft: #5b6675; --line: #d5dae1; --clamped: #c4253a;
  --a: #0b62c4; --b: #c2570c; --c: #158048; --d: #8a3fc0; --e: var(--text); --f: #0f7f8f; }
@media screen and (prefers-color-scheme: dark) {
  :root { --page: #12161c; --card: #1b212a; --text: #e4e9f0; --soft: #9aa6b5; --line: #364150; --clamped: #ff7b86;
    --a: #6cb2ff; --b: #f0a35e; --c: #6fd39b; --d: #cf9bf5; --f: #63d5e0; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1280px; padding: 16px; background: var(--page); color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6em; } h2 { margin: 0; font-size: 1.1em; } h3 { margin: 0; font-size: 1em; } section > h3 { margin-top: 16px; }
h4 { margin: 8px 0 2px; font-size: 0.8em; font-weight: normal; color: var(--soft); } small { font-weight: normal; color: var(--soft); }
p { margin: 4px 0; color: var(--soft); } header p { overflow-wrap: anywhere; }
dl { display: flex; flex-wrap: wrap; gap: 8px; margin: 16px 0; }
dl div { background: var(--card); border-radius: 8px; padding: 8px 12px; } dt { color: var(--soft); font-size: 0.8em; } dd { margin: 0; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 520px), 1fr)); gap: 16px; }
figure, article { margin: 0; background: var(--card); border-radius: 8px; padding: 12px; min-width: 0; }
section { margin: 24px 0; }
/* A shade at the right end tells that there is more; it is covered where there is not. */
.scroll { --under: var(--page); overflow-x: auto; background: linear-gradient(var(--under) 0 0) right / 20px 100% no-repeat local, linear-gradient(to left, var(--line), transparent) right / 14px 100% no-repeat scroll; }
figure .scroll { --under: var(--card); }
table { border-spacing: 0; width: 100%; font-variant-numeric: tabular-nums; margin-top: 8px; }
th, td { padding: 3px 8px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: normal; } th:first-child, td:first-child { position: sticky; left: 0; background: var(--page); text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 11em; max-width: 24em; }
.warning p { color: var(--clamped); }
.warning pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 190px), 1fr)); gap: 12px; margin-top: 8px; }
svg { display: block; width: 100%; height: auto; } figure svg { min-width: 500px; } svg text { fill: var(--soft); font-size: 11px; } article svg text { font-size: 14px; }
.grid { stroke: var(--line); } .line { fill: none; stroke: var(--ink); stroke-width: 1.8; } circle { fill: var(--ink); }
.bar { stroke: var(--a); } path.clamped { stroke: var(--clamped); }
.legend { white-space: nowrap; } .legend::before { content: '■ '; color: var(--ink); } .legend.clamped { color: var(--clamped); --ink: var(--clamped); }
@page { margin: 12mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; } figure, article, dl div { background: none; border: 1px solid var(--line); }
  main { grid-template-columns: 1fr; } figure, article, tr { break-inside: avoid; } .scroll { overflow: visible; background: none; }
  figure svg { min-width: 0; } th, td { padding: 2px 5px; } th:first-child, td:first-child { background: none; min-width: 0; }
}
${['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `.${name} { --ink: var(--${name}); }`).join(' ')}
`;
