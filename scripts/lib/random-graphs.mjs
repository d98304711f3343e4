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
