// The ablation of the QARepVGG paper at small scale. README.md shows the results.
//
//   apt-get install dataset-fashion-mnist
//   node examples/ablation/run.mjs --data /usr/share/datasets/fashion-mnist --out ablation
//
// The folder keeps every finished network, and the epochs of an unfinished one, so that the same command continues where it
// was stopped. Two processes with different --variants may share a folder.

import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadFashionMnist, loadModel, saveModel, Trainer } from 'qarepvgg';
import { makeNetwork, training, variantNames } from './experiment.mjs';
import { measure } from './measure.mjs';
import { renderPage } from './page.mjs';
import { renderTables } from './tables.mjs';

const { values: flags } = parseArgs({
  options: {
    data: { type: 'string', default: '/usr/share/datasets/fashion-mnist' },
    out: { type: 'string', default: 'ablation' },
    variants: { type: 'string', default: variantNames.join(',') },
    seeds: { type: 'string', default: '1,2,3' },
    epochs: { type: 'string', default: '4' },
    'long-variants': { type: 'string', default: 'S1,S4' },
    'long-epochs': { type: 'string', default: '12' },
    'calibration-images': { type: 'string', default: '512' },
    threads: { type: 'string', default: '1' },
  },
});
const threads = Number(flags.threads);

/** @typedef {import('./measure.mjs').Job} Job @typedef {import('./measure.mjs').Result} Result */

/** Every variant once, before any of them a second time; the longer trainings last. @returns {Job[]} */
function listJobs() {
  const chosen = namesIn(flags.variants);
  const seeds = flags.seeds.split(',').map(Number);
  const short = seeds.flatMap((seed) => chosen.map((variant) => ({ variant, seed, epochs: Number(flags.epochs) })));
  const long = namesIn(flags['long-variants']).filter((variant) => chosen.includes(variant));
  return [...short, ...long.map((variant) => ({ variant, seed: seeds[0] ?? 1, epochs: Number(flags['long-epochs']) }))];
}

/** @param {string} list */
function namesIn(list) {
  const unknown = list.split(',').find((name) => name !== '' && !variantNames.some((known) => known === name));
  if (unknown !== undefined) throw new Error(`expected variants among ${variantNames.join(', ')}, received ${unknown}`);
  return variantNames.filter((name) => list.split(',').includes(name));
}

/** @param {string} path */
function exists(path) {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * @param {Job} job
 * @param {string} place Path of its files, without what they end in.
 * @param {import('qarepvgg').Dataset} images
 */
async function trained({ variant, seed, epochs }, place, images) {
  const file = `${place}.safetensors`;
  if (await exists(file)) return /** @type {import('qarepvgg').Network} */ (await loadModel(file));
  const network = makeNetwork(variant, seed);
  const trainer = new Trainer(network, {
    ...training.trainer,
    seed,
    threads,
  });
  const checkpoint = `${place}.checkpoint.safetensors`;
  if (await exists(checkpoint)) await trainer.loadCheckpoint(checkpoint);
  await trainer.fit(images, {
    ...training.fit,
    epochs,
    checkpoint,
    onProgress: (event) => {
      if (event.kind !== 'epoch') return;
      const { epoch, loss, accuracy, seconds } = event;
      console.log(
        `${place}: epoch ${epoch} of ${epochs}, loss ${loss.toFixed(4)}, ${percent(accuracy)}, ${seconds.toFixed(0)} s`,
      );
    },
  });
  await saveModel(network, file);
  await rm(checkpoint, { force: true });
  return /** @type {import('qarepvgg').Network} */ (await loadModel(file));
}

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(2)} %`;
}

/** Whole or not at all: other processes may read the folder. @param {string} file @param {string} text */
async function write(file, text) {
  await writeFile(`${file}.part`, text);
  await rename(`${file}.part`, file);
}

await mkdir(flags.out, { recursive: true });
const [images, test] = await Promise.all([loadFashionMnist(flags.data, 'train'), loadFashionMnist(flags.data, 'test')]);
const calibrationImages = Number(flags['calibration-images']);
const calibration = images.subset(
  Array.from({ length: calibrationImages }, (_, i) => Math.floor((i * images.length) / calibrationImages)),
);

/** @type {Result[]} */
const results = [];
for (const job of listJobs()) {
  const place = join(flags.out, `${job.variant}-seed${job.seed}-epochs${job.epochs}`);
  const file = `${place}.json`;
  if (!(await exists(file))) {
    const network = await trained(job, place, images);
    const measured = await measure(network, calibration, test, threads);
    await write(file, `${JSON.stringify({ ...job, ...measured }, sixDigits)}\n`);
    console.log(`${place}: float ${percent(measured.float)}, done`);
  }
  results.push(JSON.parse(await readFile(file, 'utf8')));
}
await write(join(flags.out, 'results.json'), `[\n${results.map(inShort).join(',\n')}\n]\n`);
await write(join(flags.out, 'tables.md'), renderTables(results));
await write(join(flags.out, 'report.html'), renderPage(results));
console.log(`${flags.out}: results.json, tables.md, report.html`);

/** The page has the distributions. @param {Result} result */
function inShort({ layers, ...result }) {
  return JSON.stringify({ ...result, layers: layers.map(({ distributions: _, ...layer }) => layer) });
}

/** @param {string} _ @param {unknown} value */
function sixDigits(_, value) {
  return typeof value === 'number' ? Number(value.toPrecision(6)) : value;
}
