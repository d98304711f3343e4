// Networks from ONNX files, our engine against others. Each side is a process of its own; they take turns.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { exportOnnx, importOnnx, quantize } from 'qarepvgg';
import { bits } from './inference.mjs';
import { difference, median, readFloats } from './numbers.mjs';
import { Server } from './server.mjs';
import { compare, pauseMs, takeTurns } from './turns.mjs';
import { networkNamed } from './zoo.mjs';

/**
 * @typedef {import('./inference.mjs').Precision} Precision
 * @typedef {{ feeds: { name: string, dims: number[], file: string }[], inputs: Record<string, number[]>, batch: number, folder: string }} Setting
 */

/** Length of a turn, about. */
const turnMs = 300;

/** Rounding, magnified by a hundred layers; optimised onnxruntime is itself off by 1e-4 in places. */
const tolerance = 1e-3;

/** Float nodes between integers, where the last bits decide which neighbour a number is rounded to, or which of two is larger. */
const integerTolerance = 1e-2;

const here = join(import.meta.dirname, '..');

/** @type {Record<string, () => Server>} */
const starts = {
  qarepvgg: () => new Server(process.execPath, [join(here, 'graph-side.mjs'), 'qarepvgg']),
  onnxruntime: () => new Server(process.execPath, [join(here, 'graph-side.mjs'), 'onnxruntime']),
  opencv: () => new Server(python, [join(here, 'opencv_side.py')]),
};

/** Debian's packages belong to its own interpreter. */
const python = '/usr/bin/python3';

/** The version of OpenCV for Python; nothing if it is not installed. */
export function opencvVersion() {
  const { stdout, status } = spawnSync(python, ['-c', 'import cv2; print(cv2.__version__)'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** @typedef {{ what: string, precision: Precision, engines: readonly [string, string], files: readonly [string, string], tolerance: number }} Contest two engines, each with its file */

/**
 * Times of one network in float32 and INT8; in float32 creation of sessions and peak memory, too. INT8 is compared with the peer on the
 * file that `exportOnnx` writes, if that peer is onnxruntime, and with float32 on our engine.
 *
 * @param {string} name @param {number} batch images, where their number is open @param {readonly number[]} threads @param {number} rounds
 * @param {string} peer 'onnxruntime' or 'opencv' @param {readonly Precision[]} precisions @param {string} folder for files
 * @returns {Promise<import('./inference.mjs').Row[]>}
 */
export async function measureNetwork(name, batch, threads, rounds, peer, precisions, folder) {
  const { file, numbers, shapes } = networkNamed(name, folder);
  const inputs = Object.fromEntries(
    Object.entries(shapes[0]).map(([input, [n, ...dims]]) => [input, [batch === 1 ? Number(n) : batch, ...dims]]),
  );
  const model = /** @type {import('qarepvgg').Model} */ (await importOnnx(file));
  const { macs } = model.summary({ inputs });
  const feeds = Object.entries(inputs).map(([input, dims], i) => {
    const path = join(folder, `feed-${i}`);
    writeFileSync(path, numbers(dims));
    return { name: input, dims, file: path };
  });
  const setting = { feeds, inputs, batch, folder };
  const rows = [];
  for (const contest of await contestsOf(name, file, model, peer, precisions, setting)) {
    for (const count of threads) rows.push(await measureTimes(contest, count, rounds, macs, setting));
    if (contest.precision === 'float32') rows.push(...(await measureSessions(contest, threads[0] ?? 1, setting)));
  }
  return rows;
}

/**
 * @param {string} name @param {string} file @param {import('qarepvgg').Model} model @param {string} peer
 * @param {readonly Precision[]} precisions @param {Setting} setting @returns {Promise<Contest[]>}
 */
async function contestsOf(name, file, model, peer, precisions, { feeds, folder }) {
  /** @type {Contest[]} */
  const contests = [];
  if (precisions.includes('float32')) {
    const engines = /** @type {const} */ (['qarepvgg', peer]);
    contests.push({ what: `${name} / ${peer}`, precision: 'float32', engines, files: [file, file], tolerance });
  }
  if (!precisions.includes('int8') || peer !== 'onnxruntime') return contests;
  const images = feeds.map(({ name, dims, file }) => [name, { dims, data: readFloats(file) }]);
  const { model: quantized } = await quantize(model, [Object.fromEntries(images)], { bits });
  const integers = join(folder, 'int8.onnx');
  await exportOnnx(quantized, integers);
  contests.push(
    {
      what: `${name}, INT8 / ${peer}, INT8`,
      precision: 'int8',
      engines: ['qarepvgg', peer],
      files: [integers, integers],
      tolerance: integerTolerance,
    },
    {
      what: `${name}, INT8 / our float32`,
      // Rounding to integers is no rounding of floats: how near they are is for the report of `quantize` to say.
      precision: 'int8',
      engines: ['qarepvgg', 'qarepvgg'],
      files: [integers, file],
      tolerance: 1,
    },
  );
  return contests;
}

/**
 * @param {Contest} contest @param {number} threads @param {number} rounds @param {number} macs of all images
 * @param {Setting} setting @returns {Promise<import('./inference.mjs').Row>}
 */
function measureTimes(contest, threads, rounds, macs, { feeds, inputs, batch, folder }) {
  return withSides(contest.engines, async (sides) => {
    const outputs = [];
    for (const [i, server] of sides.entries()) {
      await ask(server, { do: 'create', file: contest.files[i], threads, inputs });
      await ask(server, { do: 'load', feeds });
      const output = join(folder, `output-${i}`);
      await ask(server, { do: 'check', output });
      outputs.push(readFloats(output));
    }
    const [ours, theirs] = /** @type {[Float32Array, Float32Array]} */ (outputs);
    const distance = ours.length === theirs.length ? difference(ours, theirs) : Number.POSITIVE_INFINITY;
    if (!(distance <= contest.tolerance)) throw new Error(`${contest.what}: relative L2 difference ${distance}`);
    /** @type {Map<Server, number>} */
    const runs = new Map();
    /** @type {number[]} */
    const peaks = [];
    const { precision } = contest;
    const results = await takeTurns(sides, rounds, async (server) => {
      if (server === sides[0]) peaks.push((await ask(server, { do: 'peak', precision, threads })).gigaops);
      const { ms } = await ask(server, { do: 'time', runs: runs.get(server) ?? 2 });
      if (!runs.has(server)) runs.set(server, Math.max(1, Math.round(turnMs / Math.min(...ms))));
      return ms.map((/** @type {number} */ time) => time / batch);
    });
    const setting = { threads, batch, macs: macs / batch, peak: median(peaks) };
    return { what: contest.what, unit: 'ms per image', ...setting, ...compare(labelsOf(contest), results) };
  });
}

/** @param {Contest} contest @param {number} threads @param {Setting} setting @returns {Promise<import('./inference.mjs').Row[]>} */
async function measureSessions(contest, threads, { feeds, inputs, batch }) {
  /** @type {number[][][]} */
  const creations = [[], []];
  /** @type {number[][][]} */
  const memories = [[], []];
  for (let round = 0; round < 3; round++) {
    await withSides(contest.engines, async (sides) => {
      for (const [i, server] of sides.entries()) {
        await sleep(pauseMs);
        creations[i]?.push([(await ask(server, { do: 'create', file: contest.files[i], threads, inputs })).ms]);
        await ask(server, { do: 'load', feeds });
        await ask(server, { do: 'time', runs: 3 });
        memories[i]?.push([(await ask(server, { do: 'memory' })).peakMiB]);
      }
    });
  }
  const labels = labelsOf(contest);
  const setting = { threads, batch };
  return [
    { what: `${contest.what}: session`, unit: 'ms', ...setting, ...compare(labels, creations) },
    { what: `${contest.what}: peak memory`, unit: 'MiB', ...setting, ...compare(labels, memories) },
  ];
}

/** @param {Contest} contest */
function labelsOf({ engines: [, peer] }) {
  return [{ label: 'auto' }, { label: peer }];
}

/** @param {Server} server @param {Record<string, unknown>} request */
async function ask(server, request) {
  const reply = await server.ask(request);
  if (reply.error) throw new Error(reply.error);
  return reply;
}

/** @template T @param {readonly string[]} engines @param {(sides: readonly Server[]) => Promise<T>} use */
async function withSides(engines, use) {
  const sides = engines.map((engine) => /** @type {() => Server} */ (starts[engine])());
  try {
    return await use(sides);
  } finally {
    for (const server of sides) server.close();
  }
}
