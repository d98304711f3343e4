// What the checks of random ONNX graphs share: onnxruntime's results, files as exportOnnx writes them, and the seeds of the command line.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { exportOnnx } from 'qarepvgg';

/** @param {Uint8Array} bytes @param {Record<string, any>} feeds @param {import('onnxruntime-node').InferenceSession.SessionOptions} options */
export async function theirs(bytes, feeds, options) {
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, ...options });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-graphs-'));
process.on('exit', () => rmSync(folder, { recursive: true }));

/** @param {import('qarepvgg').Model} model */
export async function exported(model) {
  const path = join(folder, 'model.onnx');
  await exportOnnx(model, path);
  return readFileSync(path);
}

/** @param {string} what @param {string | undefined} text of a problem, if there is one */
export const of = (what, text) => text && `${what}: ${text}`;

/** Operators that both compute in integers, or hand on. */
export const exactOps = [
  ...['conv', 'conv', 'conv', 'maxPool', 'averagePool', 'globalPool', 'binary', 'concat', 'split', 'slice'],
  ...['pad', 'branches', 'gemm', 'constant', 'squeezeExcite'],
];
/** Operators that one of both computes in floats, or as another function of a byte: a number near a middle is rounded to the other side. */
export const nearOps = ['convTranspose', 'clip', 'silu', 'resize', 'unary'];

/** What floats may differ by behind the last integers, of their norm; a step of an integer is far more. */
export const tolerance = 1e-5;
/** What some steps make of it. */
export const wide = 0.03;

/**
 * What is wrong; nothing if all is well.
 *
 * @param {any} received @param {any} expected @param {number} most relative to the norm of what is expected
 * @param {(length: number) => number} leastSquare what the norm's square counts as where it is smaller
 */
export function problem(received, expected, most, leastSquare = () => 1e-30) {
  for (const [name, { dims, data }] of Object.entries(expected)) {
    const other = received[name];
    if (`${other.dims}` !== `${dims}`) return `${name}: dims ${other.dims} where ${dims} should be`;
    let [difference, square] = [0, 0];
    for (let i = 0; i < data.length; i++) {
      square += data[i] ** 2;
      if (!Object.is(other.data[i], data[i]) && other.data[i] !== data[i]) difference += (other.data[i] - data[i]) ** 2;
    }
    const distance = Math.sqrt(difference / Math.max(square, leastSquare(data.length)));
    if (difference !== 0 && !(distance <= most)) return `${name}: off by ${distance}`;
  }
  return undefined;
}

/**
 * Checks the seeds that the command line names, [first] [count], prints what is wrong as JSON and sets the exit code.
 *
 * @param {number} most by default
 * @param {(seed: number) => Promise<string | undefined>} check what is wrong with the graph of a seed
 * @param {() => Record<string, number>} [counts] to print
 */
export async function checkSeeds(most, check, counts = () => ({})) {
  const [first = 0, count = most] = process.argv.slice(2).map(Number);
  /** @type {Record<string, string>} */
  const wrong = {};
  for (let seed = first; seed < first + count; seed++) {
    try {
      const found = await check(seed);
      if (found) wrong[seed] = found;
    } catch (error) {
      wrong[seed] = error instanceof Error ? error.message : String(error);
    }
  }
  console.log(JSON.stringify({ graphs: count, ...counts(), wrong }, null, 2));
  process.exitCode = Object.keys(wrong).length > 0 ? 1 : 0;
}
