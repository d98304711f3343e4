// npm run bench:model: re-parameterising a whole network, and loading it against reading the bytes of its file.

import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createModel, info, loadModel, saveModel } from 'qarepvgg';

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

if (values.help) {
  console.log(usage);
} else {
  const result = await measure();
  if (values.json) console.log(JSON.stringify(result, null, 2));
  else {
    const { model, isa, bytes, fuse, read, load } = result;
    const show = (/** @type {{ min: number, median: number }} */ { min, median }) =>
      `min ${min.toFixed(1)} ms, median ${median.toFixed(1)} ms`;
    console.log(`${model}, ${isa}, file of ${(bytes / 2 ** 20).toFixed(1)} MiB`);
    console.log(`  re-parameterise all blocks  ${show(fuse)}`);
    console.log(`  read the bytes of the file  ${show(read)}`);
    console.log(`  load the model              ${show(load)}, ${(load.median / read.median).toFixed(2)} x reading`);
  }
}
