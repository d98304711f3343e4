// node scripts/check-quantized-exports.mjs [first] [count]: random ONNX graphs, quantised by `quantize`, in our session and, as exportOnnx
// writes them, in onnxruntime, which must compute the same bits, but for what both compute in floats; in batches of 1, 3 and 8.
// Prints JSON. On processors without VNNI, onnxruntime adds in 16 bits what then saturates: weights have 7 bits.

import ort from 'onnxruntime-node';
import { InferenceSession, importOnnx, Model, quantize, randn } from 'qarepvgg';
import { randomGraph } from '../test/support/random-graphs.mjs';
import { checkSeeds, exactOps, exported, nearOps, of, problem, theirs, tolerance, wide } from './lib/random-graphs.mjs';

const batches = [1, 3, 8];
const counts = { refused: 0, float: 0, batches: 0, theirs: 0 };

/** The same for batches of any size. @param {Uint8Array} bytes */
async function opened(bytes) {
  const { graph } = /** @type {Model} */ (await importOnnx(bytes));
  const inputs = graph.inputs.map((input) => ({ ...input, dims: ['n', ...(input.dims ?? []).slice(1)] }));
  return new Model({ ...graph, inputs });
}

/**
 * Whether onnxruntime computes the same with its optimisations off: with them it moves a Pad into the MaxPool behind it, though that has
 * another zero, and rounds averages of padded pixels otherwise.
 *
 * @param {any} received @param {Uint8Array} file @param {Record<string, any>} feeds @param {number} most
 */
async function isTheirs(received, file, feeds, most) {
  const expected = await theirs(file, feeds, { logSeverityLevel: 4, graphOptimizationLevel: 'disabled' });
  return problem(received, expected, most) === undefined;
}

/**
 * Nothing where slices of the images themselves leave none, which convolutions and pools refuse.
 *
 * @param {any} source @param {any} feeds @param {number} seed
 */
async function ours(source, feeds, seed) {
  const algorithm = seed % 3 === 0 ? 'gemm' : 'auto';
  let session;
  try {
    session = await InferenceSession.create(source, { threads: 1 + (seed % 2), algorithm });
    return await session.run(feeds);
  } catch (error) {
    const { code, message } = /** @type {import('qarepvgg').QARepVGGError} */ (error);
    if (code === 'ERR_SHAPE' && /of at least 1|no dim of 0/.test(message)) return undefined;
    throw error;
  } finally {
    session?.dispose();
  }
}

/** @param {number} seed */
async function check(seed) {
  const isExact = seed % 2 === 0;
  const { bytes, dims } = randomGraph(seed, isExact ? exactOps : [...exactOps, ...nearOps]);
  const model = await opened(bytes);
  const images = { data: randn([2, ...dims.slice(1)], { seed }).data, dims: [2, ...dims.slice(1)] };
  const options = /** @type {const} */ ({
    bits: { weights: 7 },
    quantizeLogits: true,
    perChannel: seed % 5 !== 2,
    scheme: seed % 7 === 3 ? 'symmetric' : 'affine',
    equalize: seed % 4 === 1,
    biasCorrection: seed % 8 === 1,
  });
  // Some graphs hold for one size of batch only; of windows of padding alone the largest number is -Infinity; slices may leave nothing to
  // calibrate on.
  const refusals = ['ERR_SHAPE', 'ERR_MODEL_INCOMPATIBLE', 'ERR_NON_FINITE', 'ERR_QUANT_PARAM'];
  const quantized = await quantize(model, [images], options).catch((error) => {
    if (refusals.includes(error.code)) return undefined;
    throw error;
  });
  if (!quantized) {
    counts.refused++;
    return undefined;
  }
  const precisions = quantized.report.layers.map(({ precision }) => precision);
  if (!precisions.includes('int8')) counts.float++;
  // What sums of floats differ by in their last bits may be rounded to the other side.
  const most = isExact && !precisions.includes('float32') ? tolerance : wide;
  const file = await exported(quantized.model);
  for (const batch of batches) {
    const size = [batch, ...dims.slice(1)];
    const feeds = { x: new ort.Tensor('float32', randn(size, { seed: seed + batch }).data, size) };
    const expected = await theirs(file, feeds, { logSeverityLevel: 4 }).catch(() => undefined);
    if (!expected) continue;
    counts.batches++;
    for (const source of [quantized.model, file]) {
      const received = await ours(source, feeds, seed);
      const found = received && problem(received, expected, most);
      if (!found) continue;
      if (!(await isTheirs(received, file, feeds, most))) {
        return of(`batch of ${batch}${source === file ? ', read again' : ''}`, found);
      }
      counts.theirs++;
    }
  }
  return undefined;
}

await checkSeeds(500, check, () => counts);
