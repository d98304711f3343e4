import { readFileSync } from 'node:fs';

/** @param {readonly number[]} numbers */
export function product(numbers) {
  return numbers.reduce((a, b) => a * b, 1);
}

export { median, percentile } from '../../dist/cli/numbers.js';

/** Relative L2 difference. @param {Float32Array} actual @param {Float32Array} expected */
export function difference(actual, expected) {
  let error = 0;
  let norm = 0;
  expected.forEach((value, i) => {
    error += (Number(actual[i]) - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(error / norm);
}

/**
 * Compares the outputs of sides with that of the last one.
 *
 * @param {readonly { label: string, tolerance: number }[]} sides @param {readonly Float32Array[]} outputs
 * @throws {Error} for a side whose relative L2 difference is above its tolerance
 */
export function expectAlike(sides, outputs) {
  const last = /** @type {Float32Array} */ (outputs.at(-1));
  for (const [i, { label, tolerance }] of sides.entries()) {
    const distance = difference(/** @type {Float32Array} */ (outputs[i]), last);
    if (distance <= tolerance) continue;
    throw new Error(`${label}: relative L2 difference ${distance}, expected <= ${tolerance}`);
  }
}

/** A file of raw float32. @param {string} path */
export function readFloats(path) {
  const bytes = readFileSync(path);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** @template T @param {() => Promise<T>} work @returns {Promise<[milliseconds: number, T]>} */
export async function timed(work) {
  const start = performance.now();
  const result = await work();
  return [performance.now() - start, result];
}
