// node test/support/quantized-theirs.mjs '["ppocr-cls", ...]'
//
// Quantises networks of other people on pages of text and prints by name the signal to quantisation noise of their outputs: of our
// session against the float network, and of onnxruntime's session of the exported file against ours. Weights have 7 bits, with which
// onnxruntime does not saturate on processors without VNNI.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { exportOnnx, InferenceSession, importOnnx, quantize } from 'qarepvgg';
import { networkNamed } from '../../bench/lib/zoo.mjs';

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-quantized-'));
process.on('exit', () => rmSync(folder, { recursive: true }));

/** @param {Float32Array} exact @param {Float32Array} received */
function decibels(exact, received) {
  let [signal, noise] = [0, 0];
  for (const [i, value] of exact.entries()) {
    signal += value ** 2;
    noise += (value - Number(received[i])) ** 2;
  }
  return noise === 0 ? 200 : 10 * Math.log10(signal / noise);
}

/** @type {Record<string, { report: number, float: number, theirs: number }>} */
const results = {};
for (const name of JSON.parse(String(process.argv[2]))) {
  const { file, numbers, shapes } = networkNamed(name, folder);
  const model = /** @type {import('qarepvgg').Model} */ (/** @type {unknown} */ (await importOnnx(file)));
  const [[input, dims]] = /** @type {[[string, number[]]]} */ (Object.entries(shapes[0]));
  const images = { data: numbers(dims), dims };
  const { model: quantized, report } = await quantize(model, [images], { bits: { weights: 7 }, quantizeLogits: true });
  const exported = join(folder, 'int8.onnx');
  await exportOnnx(quantized, exported);
  const theirs = await ort.InferenceSession.create(exported, { logSeverityLevel: 3 });
  const feeds = { [input]: new ort.Tensor('float32', images.data, dims) };
  const expected = await theirs.run(feeds);
  const [float, ours] = await Promise.all(
    [model, quantized].map(async (one) => (await InferenceSession.create(one)).run(/** @type {any} */ (feeds))),
  );
  const worst = { report: report.output.sqnr, float: 200, theirs: 200 };
  for (const output of theirs.outputNames) {
    const [exact, received, other] = [float, ours, expected].map(
      (fetches) => /** @type {Float32Array} */ (/** @type {any} */ (fetches)[output].data),
    );
    worst.float = Math.min(
      worst.float,
      decibels(/** @type {Float32Array} */ (exact), /** @type {Float32Array} */ (received)),
    );
    worst.theirs = Math.min(
      worst.theirs,
      decibels(/** @type {Float32Array} */ (received), /** @type {Float32Array} */ (other)),
    );
  }
  results[name] = worst;
}
console.log(JSON.stringify(results));
