// npm run bench:model: re-parameterising a whole network, loading it against reading the bytes of its file, what a call costs,
// both forms of one block, and quantising against inference.

import { mkdtempSync, rmSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { createModel, InferenceSession, info, loadModel, QARepVGGBlock, quantize, randn, saveModel } from 'qarepvgg';
import { timed } from './lib/numbers.mjs';
import { readCount, readOptions } from './lib/options.mjs';
import { spreadOf } from './lib/turns.mjs';

const usage = `usage: npm run bench:model -- [options]
  --model NAME   network, default qarepvgg_a0
  --rounds N     turns of each side, default 15
  --images N     for quantisation, default 512
  --json         print JSON`;

const values = readOptions(usage, {
  model: { type: 'string', default: 'qarepvgg_a0' },
  rounds: { type: 'string', default: '15' },
  images: { type: 'string', default: '512' },
  json: { type: 'boolean', default: false },
});
const rounds = readCount(usage, values.rounds);
const images = readCount(usage, values.images);

/** @typedef {import('./lib/turns.mjs').Spread} Spread */

/**
 * Times of some pieces of work in milliseconds, turn by turn, so that a change of the machine's mood meets all alike; the
 * first turn warms up.
 *
 * @template {string} Name @param {Record<Name, () => unknown>} works @returns {Promise<Record<Name, Spread>>}
 */
async function inTurn(works) {
  const entries = /** @type {[Name, () => unknown][]} */ (Object.entries(works));
  /** @type {number[][]} */
  const times = entries.map(() => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, [, work]] of entries.entries()) {
      const start = performance.now();
      await work();
      if (round > 0) times[i]?.push(performance.now() - start);
    }
  }
  const spreads = entries.map(([name], i) => [name, spreadOf([times[i] ?? []])]);
  return /** @type {Record<Name, Spread>} */ (Object.fromEntries(spreads));
}

async function measure() {
  const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-bench-'));
  try {
    const name = /** @type {import('qarepvgg').ArchitectureName} */ (values.model);
    const model = createModel(name);
    const file = join(folder, 'model.safetensors');
    await saveModel(model, file);
    const memory = await readFile(file);
    const sides = await inTurn({
      fuse: () => model.reparameterize(),
      // Most of this is the system's work for new memory, page by page.
      read: () => readFile(file),
      reread: async () => {
        const handle = await open(file);
        await handle.read(memory, 0, memory.length, 0);
        await handle.close();
      },
      load: () => loadModel(file),
    });
    return { ...info(), model: name, bytes: memory.length, ...sides };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Microseconds of a synchronous forward so small that all of it is the call. */
function measureCall() {
  const block = new QARepVGGBlock({ inChannels: 3, outChannels: 3 }).eval();
  const input = randn([2, 3, 4, 4]);
  const times = Array.from({ length: 5000 }, () => {
    const start = performance.now();
    block.forward(input);
    return 1000 * (performance.now() - start);
  });
  return spreadOf([times.slice(1000)]);
}

/** The same block before and after re-parameterisation, turn by turn; results go to memory that is there already. */
async function measureBlock() {
  const dims = [8, 64, 56, 56];
  const train = new QARepVGGBlock({ inChannels: 64, outChannels: 64 }).eval();
  const deploy = train.reparameterize();
  const session = await InferenceSession.create(deploy, { inputSize: 56, maxBatch: 8 });
  const input = randn(dims);
  const out = randn(dims);
  const sides = await inTurn({
    train: () => train.forward(input, { out }),
    deploy: () => deploy.forward(input, { out }),
    session: () => session.run({ input }),
  });
  session.dispose();
  return sides;
}

/**
 * Seconds for inference of images in float32, in batches of 8 on all threads, and for quantising on as many by each method; and
 * how late the JavaScript thread was at most meanwhile, in milliseconds.
 */
async function measureQuantization() {
  const model = createModel(/** @type {import('qarepvgg').ArchitectureName} */ (values.model)).reparameterize();
  const session = await InferenceSession.create(model);
  const input = randn([8, model.options.inChannels, ...(session.inputSize ?? [])]);
  const batches = Array(Math.ceil(images / 8)).fill(input);
  await session.run({ input });
  const [inferenceMs] = await timed(async () => {
    for (const batch of batches) await session.run({ input: batch });
  });
  session.dispose();
  const methods = [];
  for (const method of /** @type {const} */ (['mse', 'entropy'])) {
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    // What is measured is the time between two of its ticks: one comes before the call.
    await sleep(20);
    const [ms] = await timed(() => quantize(model, batches, { method }));
    delay.disable();
    methods.push({ method, seconds: ms / 1000, delay: { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 } });
  }
  return { images: 8 * batches.length, inference: inferenceMs / 1000, methods };
}

const result = {
  ...(await measure()),
  call: measureCall(),
  block: await measureBlock(),
  quantization: await measureQuantization(),
};
if (values.json) console.log(JSON.stringify(result, null, 2));
else {
  const { model, isa, bytes, fuse, read, reread, load, call, block, quantization } = result;
  const show = (/** @type {Spread} */ { min, median }) => `min ${min.toFixed(1)} ms, median ${median.toFixed(1)} ms`;
  console.log(`${model}, ${isa}, file of ${(bytes / 2 ** 20).toFixed(1)} MiB`);
  console.log(`  re-parameterise all blocks  ${show(fuse)}`);
  console.log(`  read the file, readFile     ${show(read)}`);
  console.log(`  read it into memory in use  ${show(reread)}`);
  const times = (/** @type {Spread} */ { median }) => `${(load.median / median).toFixed(2)} x`;
  console.log(`  load the model              ${show(load)}: ${times(read)} readFile, ${times(reread)} memory in use`);
  console.log(
    `forward of [2, 3, 4, 4] in eval mode: min ${call.min.toFixed(1)} us, median ${call.median.toFixed(1)} us`,
  );
  console.log('a block 64 -> 64, images [8, 64, 56, 56]');
  const ratio = (/** @type {Spread} */ { median }) => `${(block.train.median / median).toFixed(2)}x`;
  console.log(`  train form, forward         ${show(block.train)}`);
  console.log(`  deploy form, forward        ${show(block.deploy)}, ${ratio(block.deploy)}`);
  console.log(`  deploy form, session        ${show(block.session)}, ${ratio(block.session)}`);
  const { images, inference, methods } = quantization;
  console.log(`${images} images: inference in float32 ${inference.toFixed(1)} s`);
  for (const { method, seconds, delay } of methods) {
    const late = `event loop late by ${delay.max.toFixed(0)} ms at most, p99 ${delay.p99.toFixed(0)} ms`;
    console.log(`  quantised by ${method}: ${seconds.toFixed(1)} s; ${late}`);
  }
}
