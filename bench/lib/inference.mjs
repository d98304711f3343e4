// What onnxruntime.mjs measures. Each function starts processes of its own for the sides, and ends them.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createModel, exportOnnx, info, loadModel, quantize, randn, saveModel } from 'qarepvgg';
import { ncnnTime, writeLayers } from './ncnn.mjs';
import { expectAlike, median, readFloats } from './numbers.mjs';
import { Server } from './server.mjs';
import { compare, pauseMs, takeTurns } from './turns.mjs';

/**
 * @typedef {'float32' | 'int8'} Precision
 * @typedef {{ safetensors: string, onnx: string }} Files
 * @typedef {{ name: string, files: Record<Precision, Files>, macs: number, size: number, folder: string }} Model
 * @typedef {{ label: string, engine: 'qarepvgg' | 'onnxruntime' | 'tfjs', file: string, algorithm?: 'auto' | 'gemm', tolerance: number }} Contender
 *   `tolerance`: the largest relative L2 difference of its logits from those of the last contender
 * @typedef {Contender & { server: Server }} Side
 * @typedef {import('./turns.mjs').Comparison & { what: string, unit: string, threads: number, batch?: number, macs?: number, peak?: number }} Row
 */

/**
 * Weights of 7 bits where there are no instructions for dot products of bytes: onnxruntime then adds pairs of products in 16
 * bits, which larger weights saturate. The time is the same.
 */
export const bits = { weights: info().isas.some((isa) => isa.endsWith('vnni')) ? 8 : 7 };

/** Length of a turn, about. */
const turnMs = 300;

/**
 * Files of a network in deploy form with the random weights of its initialisation, which keep activations at one size, and,
 * where that is asked for, of the same quantised, logits too.
 *
 * @param {string} name @param {number} size side of the images @param {string} folder @param {readonly Precision[]} precisions
 * @returns {Promise<Model>}
 */
export async function makeModel(name, size, folder, precisions) {
  const model = createModel(/** @type {import('qarepvgg').ArchitectureName} */ (name), { inputSize: size });
  const deploy = model.reparameterize();
  /** @param {Precision} precision @returns {Files} */
  const filesOf = (precision) => {
    const path = join(folder, `${name}-${precision}`);
    return { safetensors: `${path}.safetensors`, onnx: `${path}.onnx` };
  };
  const files = { float32: filesOf('float32'), int8: filesOf('int8') };
  const write = async (
    /** @type {typeof deploy | import('qarepvgg').QuantizedModel} */ one,
    /** @type {Files} */ { safetensors, onnx },
  ) => {
    await saveModel(one, safetensors);
    await exportOnnx(one, onnx);
  };
  await write(deploy, files.float32);
  if (precisions.includes('int8')) {
    const { model: quantized } = await quantize(deploy, [randn([8, 3, size, size])], { quantizeLogits: true, bits });
    await write(quantized, files.int8);
  }
  return { name, files, macs: model.summary().deployMacs, size, folder };
}

/** Ours, by algorithm, then theirs. Integers have to be the same bits. @param {Model} model @param {Precision} precision @returns {Contender[]} */
export function contenders({ files }, precision) {
  const { safetensors, onnx } = files[precision];
  const exact = precision === 'int8';
  return [
    { label: 'auto', engine: 'qarepvgg', file: safetensors, algorithm: 'auto', tolerance: exact ? 0 : 3e-5 },
    { label: 'gemm', engine: 'qarepvgg', file: safetensors, algorithm: 'gemm', tolerance: exact ? 0 : 1e-5 },
    { label: 'onnxruntime', engine: 'onnxruntime', file: onnx, tolerance: 0 },
  ];
}

/** Ours, then TensorFlow.js. @param {Model} model @returns {Contender[]} */
export function againstTfjs(model) {
  const [ours] = contenders(model, 'float32');
  const { safetensors } = model.files.float32;
  return [/** @type {Contender} */ (ours), { label: 'tfjs', engine: 'tfjs', file: safetensors, tolerance: 0 }];
}

/** Our integers against floats, ours or theirs: what quantising gains. @param {Model} model @returns {Record<'auto' | 'gemm' | 'theirs', Contender[]>} */
export function gains(model) {
  const [integers] = contenders(model, 'int8');
  const [auto, gemm, theirs] = contenders(model, 'float32');
  const against = (/** @type {Contender | undefined} */ floats) => [
    { .../** @type {Contender} */ (integers), tolerance: 0.2 },
    /** @type {Contender} */ (floats),
  ];
  return { auto: against(auto), gemm: against(gemm), theirs: against(theirs) };
}

/**
 * Time of an image, one batch after the other.
 *
 * @param {string} what @param {Model} model @param {readonly Contender[]} contenders @param {Precision} precision whose peak is meant
 * @param {number} threads @param {readonly number[]} batches @param {number} rounds
 */
export function measureSpeed(what, model, contenders, precision, threads, batches, rounds) {
  return withSides(contenders, async (sides) => {
    for (const side of sides) await createSession(side, threads);
    /** @type {Row[]} */
    const rows = [];
    for (const batch of batches) {
      await loadImages(sides, model, batch);
      /** @type {Map<Side, number>} */
      const runs = new Map();
      /** @type {number[]} */
      const peaks = [];
      const results = await takeTurns(sides, rounds, async (side) => {
        if (side === sides[0]) peaks.push((await side.server.ask({ do: 'peak', precision, threads })).gigaops);
        const { ms } = await side.server.ask({ do: 'time', runs: runs.get(side) ?? 2 });
        if (!runs.has(side)) runs.set(side, Math.max(1, Math.round(turnMs / Math.min(...ms))));
        return ms.map((/** @type {number} */ time) => time / batch);
      });
      const setting = { threads, batch, macs: model.macs, peak: median(peaks) };
      rows.push(row(what, 'ms per image', setting, sides, results));
    }
    return rows;
  });
}

/**
 * Time of a single image, ours against that of ncnn, whose turns are processes of their own.
 *
 * @param {string} program benchncnn @param {Model} model @param {Precision} precision @param {number} threads @param {number} rounds
 */
export async function measureNcnn(program, model, precision, threads, rounds) {
  const network = /** @type {import('qarepvgg').Network} */ (await loadModel(model.files.float32.safetensors));
  const layers = writeLayers(model.folder, network, precision === 'int8');
  const [ours] = contenders(model, precision);
  return withSides([/** @type {Contender} */ (ours)], async (sides) => {
    const [side] = /** @type {[Side]} */ (/** @type {unknown} */ (sides));
    await createSession(side, threads);
    await loadImages(sides, model, 1);
    /** @type {number[]} */
    const peaks = [];
    const turns = [
      async () => {
        peaks.push((await side.server.ask({ do: 'peak', precision, threads })).gigaops);
        return (await side.server.ask({ do: 'time', runs: 20 })).ms;
      },
      async () => ncnnTime(program, layers, model.size, threads, 20),
    ];
    const results = await takeTurns(turns, rounds, (turn) => turn());
    const setting = { threads, batch: 1, macs: model.macs, peak: median(peaks) };
    return row(`${model.name}, ${precision}`, 'ms per image', setting, [side, { label: 'ncnn' }], results);
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
    await withSides(contenders(model, 'float32'), async (sides) => {
      labels = [...sides];
      /** @type {number[]} */
      const created = [];
      for (const side of sides) {
        await sleep(pauseMs);
        created.push(await createSession(side, threads));
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
  return withSides(served(model), async (sides) => {
    for (const side of sides) await createSession(side, threads);
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
    await withSides(served(model), async (sides) => {
      for (const side of sides) await createSession(side, side.algorithm ? threads : theirThreads);
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

/** What a server would use. @param {Model} model */
function served(model) {
  return contenders(model, 'float32').filter(({ algorithm }) => algorithm !== 'gemm');
}

/** @template T @param {readonly Contender[]} contenders @param {(sides: readonly Side[]) => Promise<T>} use */
async function withSides(contenders, use) {
  const script = join(import.meta.dirname, '..', 'inference-side.mjs');
  const sides = contenders.map((contender) => ({
    ...contender,
    server: new Server(process.execPath, [script, contender.engine]),
  }));
  try {
    return await use(sides);
  } finally {
    for (const { server } of sides) server.close();
  }
}

/** How long it took, in ms. @param {Side} side @param {number} threads @returns {Promise<number>} */
async function createSession({ server, file, algorithm }, threads) {
  return (await server.ask({ do: 'create', file, threads, algorithm })).ms;
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
  expectAlike(sides, outputs);
}
