// npm run bench:torch-network: training steps of a whole network, ours against PyTorch's, turn by turn in one run.
//
// A step is forward, cross-entropy, backward and SGD with momentum, on the same images every time. Both sides begin with
// the same weights and must have the same losses in their first steps before anything is timed. PyTorch runs in two variants
// (torch_network.py), the faster one counts. Each side is a process of its own that sleeps while another computes.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createModel, randn } from 'qarepvgg';
import { readCount, readCounts, readOptions } from './lib/options.mjs';
import { Server } from './lib/server.mjs';
import { findPython, keepMemory, noPython } from './lib/torch.mjs';
import { compare, takeTurns } from './lib/turns.mjs';

const usage = `usage: npm run bench:torch-network -- [options]
  --model NAME     default qarepvgg_a0
  --batch N        images of a step, default 8
  --size N         side of the images, default 224
  --threads LIST   thread counts, default 1,2
  --rounds N       turns of each side, default 5
  --json           print JSON`;

const stepsInTurn = 2;
const comparedSteps = 3;
/** Of losses, relative. */
const tolerance = 1e-3;
const optimizer = { lr: 0.01, momentum: 0.9, weightDecay: 1e-4 };

/** Writes weights, images and labels. @param {string} folder @param {string} name @param {number[]} dims */
function writeInputs(folder, name, dims) {
  const model = createModel(/** @type {import('qarepvgg').ArchitectureName} */ (name), {
    inputSize: Number(dims[2]),
    numClasses: 1000,
  });
  const state = model.stateDict();
  for (const [key, { data }] of Object.entries(state)) writeFileSync(join(folder, key), data);
  writeFileSync(join(folder, 'images'), randn(dims, { seed: 1 }).data);
  writeFileSync(
    join(folder, 'labels'),
    Int32Array.from({ length: Number(dims[0]) }, (_, i) => (i * 131) % 1000),
  );
  return Object.fromEntries(Object.entries(state).map(([key, tensor]) => [key, tensor.dims]));
}

/** @param {string} python @param {number} threads @param {{ model: string, dims: number[], rounds: number }} setting */
async function run(python, threads, { model, dims, rounds }) {
  const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-bench-'));
  const beside = (/** @type {string} */ file) => join(import.meta.dirname, file);
  const torch = (/** @type {string} */ variant) => ({
    label: `PyTorch, ${variant}`,
    variant,
    server: new Server(python, [beside('torch_network.py')], { OMP_NUM_THREADS: String(threads), ...keepMemory }),
  });
  const sides = [
    {
      label: 'qarepvgg',
      variant: '',
      server: new Server(process.execPath, [beside('torch-network-step.mjs')], {
        QAREPVGG_NUM_THREADS: String(threads),
      }),
    },
    torch('plain'),
    torch('dilated 1x1'),
  ];
  try {
    const state = writeInputs(folder, model, dims);
    /** @type {number[][]} */
    const losses = [];
    for (const { label, variant, server } of sides) {
      const reply = await server.ask({ do: 'prepare', folder, dims, state, model, variant, ...optimizer });
      if (reply.threads !== threads) throw new Error(`${label} uses ${reply.threads} threads, expected ${threads}`);
      losses.push((await server.ask({ do: 'steps', count: comparedSteps })).losses);
    }
    const [ours = [], ...theirs] = losses;
    const differences = theirs.flatMap((other) => other.map((loss, i) => Math.abs(Number(ours[i]) / loss - 1)));
    if (!differences.every((difference) => difference <= tolerance)) {
      throw new Error(`losses differ by more than ${tolerance}: ${JSON.stringify(losses)}`);
    }
    const times = await takeTurns(sides, rounds, async ({ server }) => {
      return (await server.ask({ do: 'steps', count: stepsInTurn })).ms;
    });
    /** @type {number[]} */
    const memory = [];
    for (const { server } of sides) memory.push((await server.ask({ do: 'memory' })).peakBytes);
    const comparisons = sides.slice(1).map((side, i) => ({
      label: side.label,
      peakBytes: Number(memory[i + 1]),
      ...compare([/** @type {typeof side} */ (sides[0]), side], [times[0] ?? [], times[i + 1] ?? []]),
    }));
    return { threads, worstDifference: Math.max(...differences), peakBytes: Number(memory[0]), comparisons };
  } finally {
    for (const { server } of sides) server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {Awaited<ReturnType<typeof run>>} result @param {number} batch */
function print({ threads, worstDifference, peakBytes, comparisons }, batch) {
  const row = (/** @type {string[]} */ cells) =>
    console.log(`  ${cells.map((cell, i) => (i === 0 ? cell.padEnd(24) : cell.padStart(16))).join('')}`);
  const mib = (/** @type {number} */ bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  const ms = (/** @type {number} */ time) => (time / batch).toFixed(1);
  console.log(`\n${threads} thread${threads > 1 ? 's' : ''}`);
  console.log(`  same losses: largest relative difference ${worstDifference.toExponential(1)}`);
  row(['', 'median ms/image', 'peak memory', 'theirs / ours']);
  row(['qarepvgg', ms(Number(comparisons[0]?.ours[0]?.spread.median)), mib(peakBytes), '']);
  for (const { label, peakBytes: bytes, ours, theirs } of comparisons) {
    const ratio = ours[0]?.ratio;
    row([label, ms(theirs.median), mib(bytes), ratio ? `${ratio.median.toFixed(2)}x` : '']);
  }
}

async function main() {
  const values = readOptions(usage, {
    model: { type: 'string', default: 'qarepvgg_a0' },
    batch: { type: 'string', default: '8' },
    size: { type: 'string', default: '224' },
    threads: { type: 'string', default: '1,2' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  });
  const counts = readCounts(usage, values.threads);
  const [batch, size] = [readCount(usage, values.batch), readCount(usage, values.size)];
  const rounds = readCount(usage, values.rounds);
  const python = findPython();
  if (!python) return console.log(values.json ? JSON.stringify({ skipped: noPython }) : noPython);
  const dims = [batch, 3, size, size];
  const results = [];
  if (!values.json) {
    console.log(`Training steps of ${values.model} (forward, backward, SGD) on images [${dims.join(', ')}]`);
    console.log(`${rounds} rounds of ${stepsInTurn} steps, the sides in turn, one warm-up round`);
  }
  for (const threads of counts) {
    if (threads > availableParallelism()) {
      console.error(`${threads} threads: this machine has ${availableParallelism()} cores, left out`);
      continue;
    }
    const result = await run(python, threads, { model: values.model, dims, rounds });
    results.push(result);
    if (!values.json) print(result, batch);
  }
  if (values.json) console.log(JSON.stringify({ model: values.model, dims, rounds, results }, null, 2));
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
