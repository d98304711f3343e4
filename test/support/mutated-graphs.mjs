// node test/support/mutated-graphs.mjs first count: random graphs with some bytes changed, imported, compiled and run; those with
// more numbers than a test should compute are compiled no further. Prints the outcomes by error code, and other errors.

import { InferenceSession, importOnnx, randn } from 'qarepvgg';
import { sizeOf } from '../../dist/graph/graph.js';
import { specialize } from '../../dist/graph/specialize.js';
import { randomGraph } from './random-graphs.mjs';

const maxElements = 2 ** 24;

const [first = 0, count = 100] = process.argv.slice(2).map(Number);
let state = 12345;
const random = (/** @type {number} */ below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

/** @type {Record<string, number>} */
const outcomes = {};
/** @type {string[]} */
const odd = [];
let slowest = 0;
for (let seed = first; seed < first + count; seed++) {
  const { bytes, dims } = randomGraph(seed);
  for (let round = 0; round < 8; round++) {
    const changed = Uint8Array.from(bytes);
    for (let i = 0; i <= random(3); i++) changed[random(changed.length)] = random(256);
    const start = performance.now();
    let outcome = 'computed';
    try {
      const model = /** @type {import('qarepvgg').Model} */ (await importOnnx(changed));
      const { values } = specialize(model.graph, new Map(model.inputs.map(({ name }) => [name, dims])));
      const count = [...values.values()].reduce((sum, value) => sum + sizeOf(/** @type {number[]} */ (value.dims)), 0);
      if (count > maxElements) throw Object.assign(new Error(`${count} elements`), { code: 'ERR_LARGE' });
      const session = await InferenceSession.create(model);
      try {
        const feeds = Object.fromEntries(model.inputs.map(({ name }) => [name, { data: randn(dims).data, dims }]));
        await session.run(feeds);
      } finally {
        session.dispose();
      }
    } catch (error) {
      const { code, message } = /** @type {{ code?: string, message: string }} */ (error);
      outcome = String(code);
      if (!code?.startsWith('ERR_') || code.startsWith('ERR_INTERNAL')) odd.push(`${seed}, ${round}: ${message}`);
    }
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    slowest = Math.max(slowest, performance.now() - start);
  }
}
const [, peak] = /^VmHWM:\s+(\d+) kB$/m.exec((await import('node:fs')).readFileSync('/proc/self/status', 'utf8')) ?? [];
console.log(JSON.stringify({ outcomes, odd, slowestMs: Math.round(slowest), peakMiB: Number(peak) / 1024 }));
