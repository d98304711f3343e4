// node scripts/check-quantized-graphs.mjs [first] [count]: random ONNX graphs, quantised in QDQ form with weights of 7 bits, in our session
// and in onnxruntime, which must compute the same bits, but for what both compute in floats; and as exportOnnx writes them once read.
// Prints JSON.

import ort from 'onnxruntime-node';
import { InferenceSession, importOnnx, randn } from 'qarepvgg';
import { quantizedFile } from '../test/support/qdq.mjs';
import { randomGraph } from '../test/support/random-graphs.mjs';
import { checkSeeds, exactOps, exported, nearOps, of, problem, theirs, tolerance, wide } from './lib/random-graphs.mjs';

const quiet = /** @type {const} */ ({ logSeverityLevel: 4 });

/** @param {Uint8Array} bytes @param {Record<string, any>} feeds @param {number} seed */
async function ours(bytes, feeds, seed) {
  const session = await InferenceSession.create(bytes, {
    threads: 1 + (seed % 2),
    algorithm: seed % 3 === 0 ? 'gemm' : 'auto',
  });
  try {
    return await session.run(feeds);
  } finally {
    session.dispose();
  }
}

/** @param {Uint8Array} bytes */
async function rewritten(bytes) {
  return exported(/** @type {import('qarepvgg').Model} */ (await importOnnx(bytes)));
}

let refused = 0;

/** @param {number} seed */
async function check(seed) {
  const isExact = seed % 2 === 0;
  const { bytes, dims } = randomGraph(seed, isExact ? exactOps : [...exactOps, ...nearOps]);
  const most = isExact ? tolerance : wide;
  const feeds = { x: new ort.Tensor('float32', randn(dims, { seed }).data, dims) };
  const options = { signed: seed % 3 === 1, perChannel: seed % 5 !== 2 };
  const file = await quantizedFile(bytes, feeds, options);
  // Of some graphs onnxruntime makes one that it refuses itself, or that leaves the range of its kernels.
  const expected = await theirs(file, feeds, quiet).catch(() => undefined);
  if (!expected) {
    refused++;
    return undefined;
  }
  const received = await ours(file, feeds, seed);
  const written = await rewritten(file);
  if (Buffer.compare(written, await rewritten(written)) !== 0) return 'exported twice: another file';
  return (
    problem(received, expected, most) ??
    of('exported', problem(await ours(written, feeds, seed + 1), received, 0)) ??
    of('exported, onnxruntime', problem(await theirs(written, feeds, quiet), expected, most))
  );
}

await checkSeeds(500, check, () => ({ refused }));
