// node test/support/onnxruntime-chain.mjs
//
// Quantises modules one after the other whose tensors have the same names, exports them, and prints for each set of options how
// many outputs of onnxruntime and of our session differ.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { Conv2d, exportOnnx, InferenceSession, QARepVGGBlock, quantize, randn } from 'qarepvgg';
import { relativeL2 } from './random-network.mjs';

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-onnxruntime-'));
const block = (/** @type {number} */ seed) =>
  new QARepVGGBlock({ inChannels: 16, outChannels: 16, seed }).eval().switchToDeploy();
const chain = [block(1), block(2), new Conv2d({ inChannels: 16, outChannels: 16, seed: 3, padding: 1 }), block(4)];
const results = [];
try {
  for (const options of [{ quantizeLogits: true }, { keepFloat: ['1.conv'] }, { perChannel: false }]) {
    const { model } = await quantize(chain, [randn([4, 16, 12, 12], { seed: 9 })], options);
    const path = join(folder, 'chain.onnx');
    await exportOnnx(model, path);
    const input = randn([2, 16, 12, 12], { seed: 10 });
    const theirs = await ort.InferenceSession.create(path);
    const ours = await InferenceSession.create(model);
    const expected = (await theirs.run({ input: new ort.Tensor('float32', input.data, input.dims) })).logits;
    const { logits } = await ours.run({ input });
    results.push(relativeL2(logits.data, /** @type {Float32Array} */ (expected?.data)));
    ours.dispose();
    await theirs.release();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(JSON.stringify(results));
