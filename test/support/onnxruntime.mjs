// node test/support/onnxruntime.mjs '[["qarepvgg_a0", { "inputSize": 64 }], ...]'
//
// Exports random networks of these architectures and options, runs the files in onnxruntime and the networks in our session
// ('gemm'), and prints by name the largest relative L2 difference of the logits, over batches of 1 and 3.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { createModel, exportOnnx, InferenceSession, randn } from 'qarepvgg';
import { randomise, relativeL2 } from './random-network.mjs';

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-onnxruntime-'));
/** @type {Record<string, number>} */
const differences = {};
try {
  for (const [name, options] of JSON.parse(String(process.argv[2]))) {
    const network = randomise(createModel(name, options).reparameterize());
    const path = join(folder, 'model.onnx');
    await exportOnnx(network, path);
    const theirs = await ort.InferenceSession.create(path);
    const ours = await InferenceSession.create(network, { algorithm: 'gemm' });
    differences[name] = 0;
    const [height = 0, width = 0] = ours.inputSize ?? [];
    for (const [batch, ...size] of [
      [1, height, width],
      [3, height, width],
      [2, width + 5, height],
    ]) {
      const dims = [Number(batch), network.options.inChannels, ...size];
      const input = new ort.Tensor('float32', randn(dims).data, dims);
      const expected = (await theirs.run({ input })).logits;
      // A tensor of onnxruntime goes into our session as it is.
      const { logits } = await ours.run({ input: /** @type {any} */ (input) });
      if (logits.dims.join() !== expected?.dims.join())
        throw new Error(`${name}: dims ${logits.dims}, theirs ${expected?.dims}`);
      differences[name] = Math.max(
        differences[name],
        relativeL2(logits.data, /** @type {Float32Array} */ (expected?.data)),
      );
    }
    ours.dispose();
    await theirs.release();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(JSON.stringify(differences));
