// What onnxruntime.mjs measures. Each function starts processes of its own for the sides, and ends them.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createModel, exportOnnx, randn, saveModel } from 'qarepvgg';
import { difference, median, readFloats } from './numbers.mjs';
import { Server } from './server.mjs';
import { compare, pauseMs, takeTurns } from './turns.mjs';

/**
 * @typedef {'auto' | 'gemm'} Algorithm
 * @typedef {{ name: string, safetensors: string, onnx: string, macs: number, size: number, folder: string }} Model
 * @typedef {{ label: string, server: Server, algorithm?: Algorithm }} Side ours has an algorithm
 * @typedef {import('./turns.mjs').Comparison & { what: string, unit: string, threads: number, batch?: number, macs?: number, peak?: number }} Row
 */

/** Largest relative L2 difference of our logits from theirs. */
const tolerance = { auto: 3e-5, gemm: 1e-5 };
/** Length of a turn, about. */
const turnMs = 300;

/**
 * A network in deploy form with the random weights of its initialisation, which keep activations at one size.
 *
 * @param {string} name @param {number} size side of the images @param {string} folder @returns {Promise<Model>}
 */
export async function makeModel(name, size, folder) {
  const model = createModel(/** @type {import('qarepvgg').ArchitectureName} */ (name), { inputSize: size });
  const deploy = model.reparameterize();
  const [safetensors, onnx] = [join(folder, `${name}.safetensors`), join(folder, `${name}.onnx`)];
  await saveModel(deploy, safetensors);
  await exportOnnx(deploy, onnx);
  return { name, safetensors, onnx, macs: model.summary().deployMacs, size, folder };
}

/** Time of an image, one batch after the other. @param {Model} model @param {number} threads @param {readonly number[]} batches @param {number} rounds */
export function measureSpeed(model, threads, batches, rounds) {
  return withSides(['auto', 'gemm'], async (sides) => {
    for (const side of sides) await createSession(side, model, threads);
    /** @type {Row[]} */
    const rows = [];
    for (const batch of batches) {
      await loadImages(sides, model, batch);
      /** @type {Map<Side, number>} */
      const runs = new Map();
      /** @type {number[]} */
      const peaks = [];
      const results = await takeTurns(sides, rounds, async (side) => {
        if (side.algorithm === 'gemm') peaks.push((await side.server.ask({ do: 'peak', threads })).gflops);
        const { ms } = await side.server.ask({ do: 'time', runs: runs.get(side) ?? 2 });
        if (!runs.has(side)) runs.set(side, Math.max(1, Math.round(turnMs / Math.min(...ms))));
        return ms.map((/** @type {number} */ time) => time / batch);
      });
      const setting = { threads, batch, macs: model.macs, peak: median(peaks) };
      rows.push(row(model.name, 'ms per image', setting, sides, results));
    }
    return rows;
  });
}

/**
 * What a process that serves a model has to pay first: creating the session from a file that the system has in memory, and
 * the most memory it uses until it has answered. New processes in each round.
 *
 * @param {Model} model @param {number} threads @param {number} batch @param {number} rounds
 */
export async function measureStart(model, threads, batch, rounds) {
  /** @type {{ label: string }[]} */
  let labels = [];
  /** @type {number[][][]} */
  const times = [[], [], []];
  /** @type {number[][][]} */
  const peaks = [[], [], []];
  for (let round = 0; round <= rounds; round++) {
    await withSides(['auto', 'gemm'], async (sides) => {
      labels = [...sides];
      /** @type {number[]} */
      const created = [];
      for (const side of sides) {
        await sleep(pauseMs);
        created.push(await createSession(side, model, threads));
      }
      await loadImages(sides, model, batch);
      for (const [i, { server }] of sides.entries()) {
        await server.ask({ do: 'time', runs: 5 });
        const { peakMiB } = await server.ask({ do: 'memory' });
        // The first round has read the files.
        if (round === 0) continue;
        times[i]?.push([Number(created[i])]);
        peaks[i]?.push([peakMiB]);
      }
    });
  }
  return [
    row('creating a session from a file', 'ms', { threads }, labels, times),
    row('peak memory of a process that makes a session and runs it', 'MiB', { threads, batch }, labels, peaks),
  ];
}

/** How late timers of the JavaScript thread are while runs follow each other. @param {Model} model @param {number} threads @param {number} batch @param {number} rounds */
export function measureDelay(model, threads, batch, rounds) {
  return withSides(['auto'], async (sides) => {
    for (const side of sides) await createSession(side, model, threads);
    await loadImages(sides, model, batch);
    const results = await takeTurns(
      sides,
      rounds,
      async ({ server }) => (await server.ask({ do: 'delay', runs: 20 })).p99,
    );
    return row('event loop delay during back-to-back runs, p99', 'ms', { threads, batch }, sides, results);
  });
}

/** Single images, all asked for at once. Theirs runs on as many threads as suit it best. @param {Model} model @param {number} threads @param {number} count @param {number} rounds */
export async function measureQueue(model, threads, count, rounds) {
  /** @type {Row[]} */
  const rows = [];
  for (const theirThreads of new Set([1, threads])) {
    await withSides(['auto'], async (sides) => {
      for (const side of sides) await createSession(side, model, side.algorithm ? threads : theirThreads);
      await loadImages(sides, model, 1);
      const results = await takeTurns(sides, rounds, async ({ server }) => {
        return (await server.ask({ do: 'queue', count })).ms / count;
      });
      rows.push(row(`queue of ${count} single images`, 'ms per image', { threads, batch: 1 }, sides, results));
    });
  }
  return rows.reduce((best, other) => (other.theirs.median < best.theirs.median ? other : best));
}

/**
 * @param {string} what @param {string} unit @param {{ threads: number, batch?: number, macs?: number, peak?: number }} setting
 * @param {readonly { label: string }[]} sides @param {number[][][]} results @returns {Row}
 */
function row(what, unit, setting, sides, results) {
  return { what, unit, ...setting, ...compare(sides, results) };
}

/** Ours, by algorithm, then theirs. @template T @param {readonly Algorithm[]} algorithms @param {(sides: readonly Side[]) => Promise<T>} use */
async function withSides(algorithms, use) {
  const script = join(import.meta.dirname, '..', 'inference-side.mjs');
  const start = (/** @type {string} */ engine) => new Server(process.execPath, [script, engine]);
  /** @type {Side[]} */
  const sides = [
    ...algorithms.map((algorithm) => ({ label: algorithm, server: start('qarepvgg'), algorithm })),
    { label: 'onnxruntime', server: start('onnxruntime') },
  ];
  try {
    return await use(sides);
  } finally {
    for (const { server } of sides) server.close();
  }
}

/** How long it took, in ms. @param {Side} side @param {Model} model @param {number} threads @returns {Promise<number>} */
async function createSession({ server, algorithm }, { safetensors, onnx }, threads) {
  return (await server.ask({ do: 'create', file: algorithm ? safetensors : onnx, threads, algorithm })).ms;
}

/** Gives all sides the same images, and sees to it that they answer alike. @param {readonly Side[]} sides @param {Model} model @param {number} batch */
async function loadImages(sides, { size, folder }, batch) {
  const dims = [batch, 3, size, size];
  const input = join(folder, 'input');
  writeFileSync(input, randn(dims, { seed: batch }).data);
  const outputs = [];
  for (const [i, { server }] of sides.entries()) {
    const output = join(folder, `output-${i}`);
    await server.ask({ do: 'load', input, dims });
    await server.ask({ do: 'check', output });
    outputs.push(readFloats(output));
  }
  const theirs = /** @type {Float32Array} */ (outputs.at(-1));
  for (const [i, { label, algorithm }] of sides.entries()) {
    if (!algorithm) continue;
    const distance = difference(/** @type {Float32Array} */ (outputs[i]), theirs);
    if (distance <= tolerance[algorithm]) continue;
    throw new Error(`${label}: relative L2 difference ${distance}, expected <= ${tolerance[algorithm]}`);
  }
}
