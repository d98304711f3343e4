// npm run bench:torch: one training step of a QARepVGG block, ours against PyTorch's, turn by turn in one run.
//
// A step is zero_grad, forward and backward to the input and to every parameter. Both sides get the same float32 state,
// input and output gradient, and must agree before anything is timed. Each side is a process of its own that sleeps
// while the other computes. PyTorch runs in several variants (torch_step.py); the fastest one counts.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { randn } from 'qarepvgg';
import { difference, product, readFloats } from './lib/numbers.mjs';
import { readCount, readCounts, readOptions } from './lib/options.mjs';
import { Server } from './lib/server.mjs';
import { findPython, keepMemory, noPython } from './lib/torch.mjs';
import { spreadOf, takeTurns } from './lib/turns.mjs';

const usage = `usage: npm run bench:torch -- [options]
  --threads LIST   thread counts, default 1,2
  --rounds N       turns of each side, default 7
  --steps N        steps in a turn, default 5
  --json           print JSON`;

const channels = 64;
const dims = [8, channels, 56, 56];
const tolerance = 1e-4;

/** Shapes of the block's state (S4), official keys. @type {Record<string, number[]>} */
const stateDims = {
  'rbr_dense.conv.weight': [channels, channels, 3, 3],
  'rbr_1x1.weight': [channels, channels, 1, 1],
  ...batchNormDims('rbr_dense.bn'),
  ...batchNormDims('bn'),
};
/** Parameters whose gradients are compared. That of `rbr_dense.bn.bias` is 0: the batch norm that follows removes it. */
const compared = ['rbr_dense.conv.weight', 'rbr_1x1.weight', 'rbr_dense.bn.weight', 'bn.weight', 'bn.bias'];

// The convolutions' multiplications and additions: 3x3 and 1x1, once forward and twice backward.
const flops = 3 * 2 * product(dims) * channels * (9 + 1);

/** @param {string} prefix */
function batchNormDims(prefix) {
  const names = ['weight', 'bias', 'running_mean', 'running_var'];
  return {
    ...Object.fromEntries(names.map((name) => [`${prefix}.${name}`, [channels]])),
    [`${prefix}.num_batches_tracked`]: [],
  };
}

/** @param {string} file */
function beside(file) {
  return join(import.meta.dirname, file);
}

/** Writes state and input, normal except where batch norm wants positive numbers. @param {string} folder */
function writeInputs(folder) {
  Object.entries(stateDims).forEach(([key, keyDims], seed) => {
    const fanIn = product(keyDims.slice(1));
    const isConv = keyDims.length === 4;
    const std = isConv ? Math.sqrt(2 / fanIn) : 0.1;
    const { data } = randn(keyDims, { seed, std: key.endsWith('num_batches_tracked') ? 0 : std });
    const isPositive = key.endsWith('running_var') || (key.endsWith('weight') && !isConv);
    writeFileSync(join(folder, key), isPositive ? data.map((value) => 1 + value) : data);
  });
  writeFileSync(join(folder, 'input'), randn(dims, { seed: 100 }).data);
}

/**
 * @typedef {{ label: string, server: Server, variant: string, into: string }} Side
 * @typedef {{ label: string, minMs: number, medianMs: number, gflops: number }} Row
 */

/** The largest relative L2 difference of any side from the first, in outputs and gradients. @param {Side[]} sides @param {string} folder */
async function compare(sides, folder) {
  for (const { server, variant, into } of sides) await server.ask({ do: 'forward', variant, into });
  const outputs = sides.map(({ into }) => readFloats(join(into, 'output')));
  // Where rounding decides the sign in front of the ReLU, the sides are right to differ: no gradient enters there.
  const gradOutput = randn(dims, { seed: 101 }).data.map((value, i) => {
    const open = outputs.filter((output) => Number(output[i]) > 0).length;
    return open === 0 || open === outputs.length ? value : 0;
  });
  writeFileSync(join(folder, 'gradOutput'), gradOutput);
  for (const { server, variant, into } of sides) await server.ask({ do: 'backward', variant, into });

  let worst = 0;
  for (const name of ['output', 'gradInput', ...compared]) {
    const [ours, ...theirs] = sides.map(({ into }) => readFloats(join(into, name)));
    for (const [i, other] of theirs.entries()) {
      const value = difference(/** @type {Float32Array} */ (ours), other);
      if (!(value <= tolerance)) {
        throw new Error(
          `${name}: relative L2 difference ${value} from ${sides[i + 1]?.label}, expected <= ${tolerance}`,
        );
      }
      worst = Math.max(worst, value);
    }
  }
  return worst;
}

/** Times all sides in turn. @param {Side[]} sides @param {number} rounds @param {number} steps @returns {Promise<Row[]>} */
async function measure(sides, rounds, steps) {
  const times = await takeTurns(sides, rounds, async ({ server, variant }) => {
    return (await server.ask({ do: 'time', variant, steps })).ms;
  });
  return sides.map(({ label }, i) => {
    const { min: minMs, median: medianMs } = spreadOf(times[i] ?? []);
    return { label, minMs, medianMs, gflops: flops / medianMs / 1e6 };
  });
}

/** @param {string} python @param {number} threads @param {number} rounds @param {number} steps */
async function run(python, threads, rounds, steps) {
  const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-bench-'));
  const ours = new Server(process.execPath, [beside('torch-step.mjs')], { QAREPVGG_NUM_THREADS: String(threads) });
  const torch = new Server(python, [beside('torch_step.py')], { OMP_NUM_THREADS: String(threads), ...keepMemory });
  try {
    writeInputs(folder);
    const request = { do: 'prepare', folder, dims, state: stateDims };
    const us = await ours.ask(request);
    const them = await torch.ask(request);
    for (const [name, reply] of Object.entries({ qarepvgg: us, PyTorch: them })) {
      if (reply.threads !== threads) throw new Error(`${name} uses ${reply.threads} threads, expected ${threads}`);
    }
    /** @type {Side[]} */
    const sides = [
      ...us.variants.map((/** @type {string} */ variant) => ({ label: variant, server: ours, variant })),
      ...them.variants.map((/** @type {string} */ variant) => ({
        label: `PyTorch ${variant}`,
        server: torch,
        variant,
      })),
    ].map((side, i) => ({ ...side, into: join(folder, String(i)) }));
    for (const { into } of sides) mkdirSync(into);

    const worstDifference = await compare(sides, folder);
    const rows = await measure(sides, rounds, steps);
    const [our, ...their] = /** @type {[Row, ...Row[]]} */ (rows);
    const best = their.reduce((a, b) => (b.medianMs < a.medianMs ? b : a));
    return {
      threads,
      isa: us.isa,
      torch: { version: them.version, threads: them.threads, mkldnn: them.mkldnn },
      worstDifference,
      rows,
      counted: best.label,
      ratio: { min: best.minMs / our.minMs, median: best.medianMs / our.medianMs },
    };
  } finally {
    ours.close();
    torch.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {Awaited<ReturnType<typeof run>>} result */
function print({ threads, isa, torch, worstDifference, rows, counted, ratio }) {
  console.log(`\n${threads} thread${threads > 1 ? 's' : ''}`);
  console.log(`  qarepvgg: ${isa}; PyTorch ${torch.version}, oneDNN (mkldnn) ${torch.mkldnn ? 'on' : 'off'}`);
  console.log(`  same results: largest relative L2 difference ${worstDifference.toExponential(1)}`);
  console.log(`  ${''.padEnd(36)}${['min ms', 'median ms', 'GFLOP/s'].map((head) => head.padStart(11)).join('')}`);
  for (const row of rows) {
    const numbers = [row.minMs, row.medianMs, row.gflops].map((value) => value.toFixed(1).padStart(11)).join('');
    console.log(`  ${row.label.padEnd(36)}${numbers}`);
  }
  console.log(`  ${counted} / qarepvgg: min ${ratio.min.toFixed(2)}x, median ${ratio.median.toFixed(2)}x`);
}

async function main() {
  const values = readOptions(usage, {
    threads: { type: 'string', default: '1,2' },
    rounds: { type: 'string', default: '7' },
    steps: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  });
  const counts = readCounts(usage, values.threads);
  const [rounds, steps] = [readCount(usage, values.rounds), readCount(usage, values.steps)];

  const python = findPython();
  if (!python) {
    return console.log(values.json ? JSON.stringify({ skipped: noPython }) : noPython);
  }
  if (!values.json) {
    console.log(
      `One training step (zero_grad, forward, backward) of a QARepVGG block, ReLU, input [${dims.join(', ')}]`,
    );
    console.log(`${rounds} rounds of ${steps} steps, the sides in turn, one warm-up round`);
  }
  const results = [];
  for (const threads of counts) {
    if (threads > availableParallelism()) {
      console.error(`${threads} threads: this machine has ${availableParallelism()} cores, left out`);
      continue;
    }
    const result = await run(python, threads, rounds, steps);
    results.push(result);
    if (!values.json) print(result);
  }
  if (values.json) console.log(JSON.stringify({ dims, rounds, steps, flops, results }, null, 2));
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
