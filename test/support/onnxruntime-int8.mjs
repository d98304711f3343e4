// node test/support/onnxruntime-int8.mjs '[["name", { "architecture": "qarepvgg_a0", "options": {...}, "quantize": {...} }], ...]'
//
// Quantises random networks, or that of a file, exports them as QDQ, runs the files in onnxruntime and the models in our
// session, and prints by name how many logits are not the same and their relative L2 difference, over batches of 1, 3 and 8.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { createModel, exportOnnx, InferenceSession, loadModel, quantize, randn } from 'qarepvgg';
import { randomise, relativeL2 } from './random-network.mjs';

/** @typedef {{ architecture?: import('qarepvgg').ArchitectureName, options?: object, file?: string, quantize?: object, odd?: boolean }} Case `odd`: with pixels that are not finite */

/** @param {Case} what */
async function networkOf({ architecture, options, file }) {
  if (file) return /** @type {import('qarepvgg').Network} */ (await loadModel(file)).reparameterize();
  return randomise(
    createModel(/** @type {import('qarepvgg').ArchitectureName} */ (architecture), options).reparameterize(),
  );
}

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-onnxruntime-'));
/** @type {Record<string, { different: number, relativeL2: number }>} */
const results = {};
try {
  for (const [name, what] of /** @type {[string, Case][]} */ (JSON.parse(String(process.argv[2])))) {
    const network = await networkOf(what);
    const { inChannels, inputSize } = network.options;
    const size = [inputSize, inputSize].flat().slice(0, 2);
    const images = (/** @type {number} */ batch, /** @type {number} */ seed) =>
      randn([batch, inChannels, ...size], { seed });
    const { model } = await quantize(network, [images(4, 1)], what.quantize);
    const path = join(folder, 'model.onnx');
    await exportOnnx(model, path);
    const theirs = await ort.InferenceSession.create(path);
    const ours = await InferenceSession.create(model);
    const result = { different: 0, relativeL2: 0 };
    for (const batch of [1, 3, 8]) {
      const { data, dims } = images(batch, 2);
      for (let i = 5; what.odd && i < data.length; i += 97) data[i] = [Number.NaN, 1 / 0, -1 / 0][i % 3] ?? 0;
      const expected = /** @type {Float32Array} */ (
        (await theirs.run({ input: new ort.Tensor('float32', data, dims) })).logits?.data
      );
      const { logits } = await ours.run({ input: { data, dims } });
      result.different += logits.data.filter((value, i) => value !== expected[i]).length;
      result.relativeL2 = Math.max(result.relativeL2, relativeL2(logits.data, expected));
    }
    results[name] = result;
    ours.dispose();
    await theirs.release();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(JSON.stringify(results));
