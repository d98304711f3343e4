// node test/support/quantized-report.mjs '["ppocr-cls", "test/fixtures/onnx/vit.onnx", ...]'
//
// Quantises networks and prints by name how many nodes with weights the report has in INT8, and how many the session computes in
// integers.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importOnnx, quantize, randn } from 'qarepvgg';
import { networkNamed } from '../../bench/lib/zoo.mjs';
import { countProducts, optimize } from '../../dist/graph/passes/index.js';
import { atOnce } from '../../dist/slices.js';

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-report-'));
process.on('exit', () => rmSync(folder, { recursive: true }));

/** @type {Record<string, { report: number, session: number, nodes: number }>} */
const results = {};
for (const name of JSON.parse(String(process.argv[2]))) {
  const { file, shapes } = name.endsWith('.onnx') ? { file: name, shapes: [undefined] } : networkNamed(name, folder);
  const model = /** @type {import('qarepvgg').Model} */ (/** @type {unknown} */ (await importOnnx(file)));
  const { inputs } = model.graph;
  const dimsOf = (/** @type {string} */ input, /** @type {readonly unknown[]} */ dims) =>
    /** @type {number[]} */ (shapes[0]?.[input] ?? dims.map((dim) => (typeof dim === 'number' ? dim : 1)));
  const dims = new Map(inputs.map((input) => [input.name, dimsOf(input.name, input.dims)]));
  const images = Object.fromEntries([...dims].map(([input, list]) => [input, randn(list, { seed: 3 })]));
  const { model: quantized, report } = await quantize(model, [/** @type {any} */ (images)], {
    equalize: false,
    biasCorrection: false,
  });
  const weighted = report.layers.filter(({ weights }) => weights);
  const session = countProducts(atOnce(optimize(quantized.graph, dims)));
  const ours = weighted.filter(({ precision }) => precision === 'int8').length;
  results[name] = { report: ours, session: session.integer, nodes: weighted.length };
}
console.log(JSON.stringify(results));
