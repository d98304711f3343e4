// npm run bench:model: re-parameterising a whole network, loading it against reading the bytes of its file, what a call costs,
// and both forms of one block.

import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createModel, InferenceSession, info, loadModel, QARepVGGBlock, randn, saveModel } from 'qarepvgg';

const usage = `usage: npm run bench:model -- [options]
  --model NAME   network, default qarepvgg_a0
  --rounds N     turns of each side, default 15
  --json         print JSON`;

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'qarepvgg_a0' },
    rounds: { type: 'string', default: '15' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** @param {() => unknown} work */
async function milliseconds(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** @param {number[]} times */
function summary(times) {
  const sorted = times.toSorted((a, b) => a - b);
  return { min: Number(sorted[0]), median: Number(sorted[Math.floor(sorted.length / 2)]) };
}

async function measure() {
  const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-bench-'));
  try {
    const name = /** @type {import('qarepvgg').ArchitectureName} */ (values.model);
    const model = createModel(name);
    const file = join(folder, 'model.safetensors');
    await saveModel(model, file);
    /** @type {Record<'fuse' | 'read' | 'load', number[]>} */
    const times = { fuse: [], read: [], load: [] };
    // Turn by turn, so that a change of the machine's mood meets all alike; the first turn warms up.
    for (let round = 0; round <= Number(values.rounds); round++) {
      const turn = {
        fuse: await milliseconds(() => model.reparameterize()),
        read: await milliseconds(() => readFile(file)),
        load: await milliseconds(() => loadModel(file)),
      };
      if (round === 0) continue;
      times.fuse.push(turn.fuse);
      times.read.push(turn.read);
      times.load.push(turn.load);
    }
    const sides = { fuse: summary(times.fuse), read: summary(times.read), load: summary(times.load) };
    return { ...info(), model: name, bytes: (await stat(file)).size, ...sides };
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
  return summary(times.slice(1000));
}

/** The same block before and after re-parameterisation, turn by turn; results go to memory that is there already. */
async function measureBlock() {
  const dims = [8, 64, 56, 56];
  const train = new QARepVGGBlock({ inChannels: 64, outChannels: 64 }).eval();
  const deploy = train.reparameterize();
  const session = await InferenceSession.create(deploy, { inputSize: 56, maxBatch: 8 });
  const input = randn(dims);
  const out = randn(dims);
  /** @type {Record<'train' | 'deploy' | 'session', number[]>} */
  const times = { train: [], deploy: [], session: [] };
  for (let round = 0; round <= Number(values.rounds); round++) {
    const turn = {
      train: await milliseconds(() => train.forward(input, { out })),
      deploy: await milliseconds(() => deploy.forward(input, { out })),
      session: await milliseconds(() => session.run({ input })),
    };
    if (round === 0) continue;
    times.train.push(turn.train);
    times.deploy.push(turn.deploy);
    times.session.push(turn.session);
  }
  session.dispose();
  return { train: summary(times.train), deploy: summary(times.deploy), session: summary(times.session) };
}

if (values.help) {
  console.log(usage);
} else {
  const result = { ...(await measure()), call: measureCall(), block: await measureBlock() };
  if (values.json) console.log(JSON.stringify(result, null, 2));
  else {
    const { model, isa, bytes, fuse, read, load, call, block } = result;
    const show = (/** @type {{ min: number, median: number }} */ { min, median }) =>
      `min ${min.toFixed(1)} ms, median ${median.toFixed(1)} ms`;
    console.log(`${model}, ${isa}, file of ${(bytes / 2 ** 20).toFixed(1)} MiB`);
    console.log(`  re-parameterise all blocks  ${show(fuse)}`);
    console.log(`  read the bytes of the file  ${show(read)}`);
    console.log(`  load the model              ${show(load)}, ${(load.median / read.median).toFixed(2)} x reading`);
    console.log(
      `forward of [2, 3, 4, 4] in eval mode: min ${call.min.toFixed(1)} us, median ${call.median.toFixed(1)} us`,
    );
    console.log('a block 64 -> 64, images [8, 64, 56, 56]');
    const ratio = (/** @type {{ median: number }} */ { median }) => `${(block.train.median / median).toFixed(2)}x`;
    console.log(`  train form, forward         ${show(block.train)}`);
    console.log(`  deploy form, forward        ${show(block.deploy)}, ${ratio(block.deploy)}`);
    console.log(`  deploy form, session        ${show(block.session)}, ${ratio(block.session)}`);
  }
}
