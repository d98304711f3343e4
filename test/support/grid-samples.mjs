// node test/support/grid-samples.mjs: GridSample in every mode, in our session and in onnxruntime. Prints how many outputs there are, and
// the largest relative L2 difference of one.

import ort from 'onnxruntime-node';
import { InferenceSession, randn } from 'qarepvgg';
import { NetworkWriter } from '../../bench/lib/network-writer.mjs';
import { relativeL2 } from './random-network.mjs';

const modes = { 16: ['bilinear', 'nearest', 'bicubic'], 20: ['linear', 'nearest', 'cubic'] };
const paddings = ['zeros', 'border', 'reflection'];
const sizes = [
  [7, 10],
  [2, 3],
];

const found = { outputs: 0, worst: 0 };
for (const opset of /** @type {const} */ ([16, 20])) {
  for (const size of sizes) for (const channels of [3, 20]) await compare(opset, [channels, ...size]);
}
console.log(JSON.stringify(found));

/** @param {16 | 20} opset @param {readonly number[]} image */
async function compare(opset, image) {
  const net = new NetworkWriter();
  const inputs = [net.input('x', ['n', ...image]).name, net.input('grid', ['n', 9, 8, 2]).name];
  /** @type {Record<string, { name: string, rank: number }>} */
  const outputs = {};
  for (const mode of modes[opset]) {
    for (const padding_mode of paddings) {
      for (const align_corners of [0, 1]) {
        const name = net.node('GridSample', inputs, { mode, padding_mode, align_corners });
        outputs[`${mode}_${padding_mode}_${align_corners}`] = { name, rank: 4 };
      }
    }
  }
  const bytes = net.finishRanks(outputs, { opset, irVersion: opset < 19 ? 8 : 10 });
  const theirs = await ort.InferenceSession.create(bytes, { graphOptimizationLevel: 'disabled', logSeverityLevel: 3 });
  const ours = await InferenceSession.create(bytes);
  for (const n of [1, 2]) {
    const dims = [n, ...image];
    // Far outside, too.
    const places = randn([n, 9, 8, 2], { seed: n }).data.map((value, i) => (i % 11 === 0 ? 4 * value : value));
    const x = new ort.Tensor('float32', randn(dims, { seed: 5 }).data, dims);
    const feeds = { x, grid: new ort.Tensor('float32', places, [n, 9, 8, 2]) };
    const [expected, received] = [await theirs.run(feeds), await ours.run(/** @type {any} */ (feeds))];
    for (const [name, { data, dims: given }] of Object.entries(expected)) {
      const other = /** @type {{ data: Float32Array, dims: number[] }} */ (received[name]);
      if (`${other.dims}` !== `${given}`) throw new Error(`${name}: dims ${other.dims} instead of ${given}`);
      const difference = relativeL2(other.data, /** @type {Float32Array} */ (data));
      if (!(difference < 1e-5)) throw new Error(`${name} of [${dims}], opset ${opset}: off by ${difference}`);
      found.outputs++;
      found.worst = Math.max(found.worst, difference);
    }
  }
  ours.dispose();
  await theirs.release();
}
