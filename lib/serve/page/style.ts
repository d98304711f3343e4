/** What the page has beside the style of all pages of this package. */
export const style = `
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 16px; margin-bottom: 16px; }
.model { display: flex; flex-direction: column; gap: 10px; }
#models { max-width: 880px; }
.model dl { margin: 0; display: grid; grid-template-columns: repeat(4, 1fr); } .model dl div { background: var(--page); }
@media (max-width: 480px) { .model dl { grid-template-columns: repeat(2, 1fr); } }
.model .model dd { font-size: 1.3em; font-variant-numeric: tabular-nums; }
.chart { background: var(--page); border-radius: 8px; height: 60px; } .chart polyline { vector-effect: non-scaling-stroke; }
.drop { display: block; border: 2px dashed var(--line); border-radius: 8px; padding: 22px 12px; text-align: center; color: var(--soft); cursor: pointer; }
.drop[hidden] { display: none; }
.drop:hover, .drop:focus-within, .drop.over { border-color: var(--a); color: var(--text); }
.drop input { position: absolute; opacity: 0; width: 1px; height: 1px; }
.result { display: grid; grid-template-columns: auto 1fr; gap: 12px; align-items: start; } .result:empty { display: none; }
.result img { max-width: 160px; max-height: 160px; border-radius: 8px; } .result img.small { width: 112px; image-rendering: pixelated; }
.result ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 6px; }
.result li { display: grid; grid-template-columns: 1fr auto; gap: 2px 8px; } .result progress { grid-column: 1 / -1; width: 100%; height: 8px; accent-color: var(--a); }
.result .error { color: var(--clamped); }
`;
