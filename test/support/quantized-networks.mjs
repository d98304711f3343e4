// node test/support/quantized-networks.mjs '["yolov6n", ...]'
//
// Quantises networks of other people in QDQ form, with weights of 7 bits, runs them in our session and in onnxruntime, on batches of
// several sizes where they take them, and prints by name how many numbers differ, the largest relative L2 difference of an output,
// and how many convolutions our session computes in integers and in floats.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { InferenceSession, randn } from 'qarepvgg';
import { yolov6 } from '../../bench/lib/yolov6.mjs';
import { networkNamed } from '../../bench/lib/zoo.mjs';
import { modelOf } from '../../dist/formats/onnx/document.js';
import { decodeFile } from '../../dist/formats/onnx/file.js';
import { optimize } from '../../dist/graph/passes/index.js';
import { atOnce } from '../../dist/slices.js';
import { quantizedFile } from './qdq.mjs';
import { relativeL2 } from './random-network.mjs';

/** @param {Uint8Array} file @param {Record<string, number[]>} shapes */
async function convolutionsOf(file, shapes) {
  const { graph } = await modelOf(atOnce(decodeFile(file, 'test')), () => undefined, 'test');
  const { nodes } = atOnce(optimize(graph, new Map(Object.entries(shapes)), 'test'));
  const count = (/** @type {string[]} */ ops) => nodes.filter(({ op }) => ops.includes(op)).length;
  return { integer: count(['quantizedConv', 'quantizedConvTranspose']), float: count(['conv', 'convTranspose']) };
}

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-networks-'));

/** YOLOv6-N on small images. */
function smallDetector() {
  const file = join(folder, 'small.onnx');
  writeFileSync(file, yolov6({ side: 96 }));
  const numbers = (/** @type {number[]} */ dims) => randn(dims, { seed: 7 }).data;
  return { file, numbers, shapes: /** @type {[Record<string, number[]>]} */ ([{ images: [1, 3, 96, 96] }]) };
}

process.on('exit', () => rmSync(folder, { recursive: true }));
/** @type {Record<string, { different: number, relativeL2: number, integer: number, float: number }>} */
const results = {};
for (const name of JSON.parse(String(process.argv[2]))) {
  const { file, numbers, shapes } = name === 'yolov6n-small' ? smallDetector() : networkNamed(name, folder);
  const feedsOf = (/** @type {Record<string, number[]>} */ inputs) =>
    Object.fromEntries(
      Object.entries(inputs).map(([input, dims]) => [input, new ort.Tensor('float32', numbers(dims), dims)]),
    );
  const quantized = await quantizedFile(readFileSync(file), feedsOf(shapes[0]));
  const theirs = await ort.InferenceSession.create(quantized, { logSeverityLevel: 4, intraOpNumThreads: 2 });
  const result = { different: 0, relativeL2: 0, ...(await convolutionsOf(quantized, shapes[0])) };
  for (const threads of [1, 2]) {
    const ours = await InferenceSession.create(quantized, { threads });
    for (const inputs of shapes) {
      const feeds = feedsOf(inputs);
      const expected = await theirs.run(feeds);
      const received = await ours.run(/** @type {any} */ (feeds));
      for (const [output, tensor] of Object.entries(expected)) {
        const { data } = /** @type {{ data: Float32Array }} */ (received[output]);
        const others = /** @type {Float32Array} */ (tensor.data);
        result.different += data.filter((value, i) => value !== others[i]).length;
        result.relativeL2 = Math.max(result.relativeL2, relativeL2(data, others));
      }
    }
    ours.dispose();
  }
  results[name] = result;
  await theirs.release();
}
console.log(JSON.stringify(results));
