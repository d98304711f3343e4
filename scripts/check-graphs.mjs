// node scripts/check-graphs.mjs [first] [count]: random ONNX graphs in our session ('gemm' and 'auto') and in onnxruntime, which must
// compute the same; and as exportOnnx writes them, which must compute the same bits and be read by onnxruntime. Prints JSON.

import ort from 'onnxruntime-node';
import { InferenceSession, importOnnx, randn } from 'qarepvgg';
import { randomGraph } from '../test/support/random-graphs.mjs';
import { checkSeeds, exported, of, problem as problemOf, theirs } from './lib/random-graphs.mjs';

/** Of the norm of an output. */
const tolerance = 1e-4;

/** Elements that are smaller than 0.1 count as that much: differences of like numbers are rounding. */
const leastSquare = (/** @type {number} */ length) => Math.max(1, length / 100);

/** @param {any} received @param {any} expected @param {number} most */
const problem = (received, expected, most) => problemOf(received, expected, most, leastSquare);

/** @type {import('onnxruntime-node').InferenceSession.SessionOptions} */
const asWritten = { graphOptimizationLevel: 'disabled', logSeverityLevel: 3 };

/** @param {Uint8Array | import('qarepvgg').Model} source @param {'gemm' | 'auto'} algorithm @param {Record<string, any>} feeds */
async function ours(source, algorithm, feeds) {
  const session = await InferenceSession.create(source, { algorithm });
  try {
    return await session.run(feeds);
  } finally {
    session.dispose();
  }
}

/** @param {number} seed */
async function check(seed) {
  const { bytes, dims } = randomGraph(seed);
  const feeds = { x: new ort.Tensor('float32', randn(dims, { seed }).data, dims) };
  const expected = await theirs(bytes, feeds, asWritten);
  const strict = await ours(bytes, 'gemm', feeds);
  const found = problem(strict, expected, tolerance) ?? problem(await ours(bytes, 'auto', feeds), expected, tolerance);
  if (found) return found;
  const model = /** @type {import('qarepvgg').Model} */ (await importOnnx(bytes));
  const written = await exported(model);
  const again = /** @type {import('qarepvgg').Model} */ (await importOnnx(written));
  if (Buffer.compare(written, await exported(again)) !== 0) return 'exported twice: another file';
  return (
    of('exported', problem(await ours(again, 'gemm', feeds), strict, 0)) ??
    of('exported, onnxruntime', problem(await theirs(written, feeds, asWritten), expected, tolerance))
  );
}

await checkSeeds(2000, check);
