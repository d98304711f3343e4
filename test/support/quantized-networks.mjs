// node test/support/quantized-networks.mjs '["yolov6n", "graph.onnx", ...]'
//
// Quantises networks of other people in QDQ form, with weights of 7 bits, runs them in our session and in onnxruntime, on batches of
// several sizes where they take them, and prints by name how many numbers differ, the largest relative L2 difference of an output,
// and how many convolutions and products our session computes in integers and in floats. Files that are quantised already stay as
// they are.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { InferenceSession, randn } from 'qarepvgg';
import { yolov6 } from '../../bench/lib/yolov6.mjs';
import { networkNamed } from '../../bench/lib/zoo.mjs';
import { modelOf } from '../../dist/formats/onnx/document.js';
import { decodeFile } from '../../dist/formats/onnx/file.js';
import { countProducts, optimize } from '../../dist/graph/passes/index.js';
import { isQuantized } from '../../dist/graph/quantized-form.js';
import { atOnce } from '../../dist/slices.js';
import { quantizedFile } from './qdq.mjs';
import { relativeL2 } from './random-network.mjs';

/** @param {Uint8Array} file */
const graphOf = async (file) => (await modelOf(atOnce(decodeFile(file)), () => undefined)).graph;

/** @param {Uint8Array} file @param {Record<string, number[]>} shapes */
async function productsOf(file, shapes) {
  const { integer, all } = countProducts(atOnce(optimize(await graphOf(file), new Map(Object.entries(shapes)))));
  return { integer, float: all - integer };
}

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-networks-'));

/** YOLOv6-N on small images. */
function smallDetector() {
  const file = join(folder, 'small.onnx');
  writeFileSync(file, yolov6({ side: 96 }));
  const numbers = (/** @type {number[]} */ dims) => randn(dims, { seed: 7 }).data;
  return { file, numbers, shapes: /** @type {[Record<string, number[]>]} */ ([{ images: [1, 3, 96, 96] }]) };
}

/** A file, with batches of 1 and 3 where it takes them. @param {string} file */
async function ownFile(file) {
  const { inputs } = await graphOf(readFileSync(file));
  const numbers = (/** @type {number[]} */ dims) => {
    const { data } = randn(dims, { seed: 7 });
    if (inputs[0]?.type === 'uint8') return Uint8Array.from(data, (value) => 128 + 40 * value);
    return inputs[0]?.type === 'int8' ? Int8Array.from(data, (value) => 40 * value) : data;
  };
  const shapes = /** @type {[Record<string, number[]>]} */ (
    [1, 3].map((batch) =>
      Object.fromEntries(
        inputs.map(({ name, dims }) => [name, dims.map((dim) => (typeof dim === 'number' ? dim : batch))]),
      ),
    )
  );
  return { file, numbers, shapes };
}

/** @param {string} name */
function networkOf(name) {
  if (name.endsWith('.onnx')) return ownFile(name);
  return name === 'yolov6n-small' ? smallDetector() : networkNamed(name, folder);
}

/** @param {Float32Array | Uint8Array | Int8Array} data @param {number[]} dims */
function tensorOf(data, dims) {
  if (data instanceof Float32Array) return new ort.Tensor('float32', data, dims);
  return data instanceof Int8Array ? new ort.Tensor('int8', data, dims) : new ort.Tensor('uint8', data, dims);
}

process.on('exit', () => rmSync(folder, { recursive: true }));
/** @type {Record<string, { different: number, relativeL2: number, integer: number, float: number }>} */
const results = {};
for (const name of JSON.parse(String(process.argv[2]))) {
  const { file, numbers, shapes } = await networkOf(name);
  const feedsOf = (/** @type {Record<string, number[]>} */ inputs) =>
    Object.fromEntries(Object.entries(inputs).map(([input, dims]) => [input, tensorOf(numbers(dims), dims)]));
  const bytes = readFileSync(file);
  const quantized = isQuantized(await graphOf(bytes)) ? bytes : await quantizedFile(bytes, feedsOf(shapes[0]));
  const theirs = await ort.InferenceSession.create(quantized, { logSeverityLevel: 4, intraOpNumThreads: 2 });
  const result = { different: 0, relativeL2: 0, ...(await productsOf(quantized, shapes[0])) };
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
