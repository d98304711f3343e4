// node test/support/optimized-files.mjs '["mobilenetv2", ...]': networks, and those that PyTorch has exported, as onnxruntime saves them
// after its optimisations. Prints by name the relative L2 difference of our session on that file from onnxruntime on the original one,
// and the operators of other domains that the file has.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { InferenceSession, randn } from 'qarepvgg';
import { networkNamed } from '../../bench/lib/zoo.mjs';
import { modelFields } from '../../dist/formats/onnx/schema.js';
import { decode } from '../../dist/formats/onnx/wire.js';
import { relativeL2 } from './random-network.mjs';

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-optimized-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const fixtures = join(import.meta.dirname, '..', 'fixtures', 'onnx');
const exported = readdirSync(fixtures).filter((file) => file.endsWith('.onnx'));

const networks = [
  ...JSON.parse(String(process.argv[2])).map((/** @type {string} */ name) => {
    const { file, numbers, shapes } = networkNamed(name, folder);
    return { name, file, numbers, shapes: shapes[0] };
  }),
  ...exported.map((file) => ({
    name: file.slice(0, -5),
    file: join(fixtures, file),
    numbers: (/** @type {number[]} */ dims) => randn(dims, { seed: 7 }).data,
    shapes: { images: [2, 3, 32, 40] },
  })),
];

/** @type {Record<string, { difference: number, operators: string[] }>} */
const found = {};
for (const { name, file, numbers, shapes } of networks) {
  const saved = join(folder, 'saved.onnx');
  const quiet = /** @type {const} */ ({ logSeverityLevel: 3 });
  const level = { graphOptimizationLevel: /** @type {const} */ ('extended'), optimizedModelFilePath: saved };
  await (await ort.InferenceSession.create(file, { ...quiet, ...level })).release();
  const theirs = await ort.InferenceSession.create(file, { ...quiet, graphOptimizationLevel: 'disabled' });
  const ours = await InferenceSession.create(saved, { algorithm: 'gemm' });
  const feeds = Object.fromEntries(
    Object.entries(/** @type {Record<string, number[]>} */ (shapes)).map(([input, dims]) => [
      input,
      new ort.Tensor('float32', numbers(dims), dims),
    ]),
  );
  const [expected, received] = [await theirs.run(feeds), await ours.run(/** @type {any} */ (feeds))];
  const differences = Object.entries(expected).map(([output, { data, dims }]) => {
    const mine = /** @type {{ data: Float32Array, dims: number[] }} */ (received[output]);
    if (`${mine.dims}` !== `${dims}`) throw new Error(`${name}: dims ${mine.dims} instead of ${dims}`);
    return relativeL2(mine.data, /** @type {Float32Array} */ (data));
  });
  const nodes = decode(modelFields, readFileSync(saved)).graph?.nodes ?? [];
  const operators = new Set(nodes.flatMap(({ opType = '', domain }) => (domain ? [opType] : [])));
  found[name] = { difference: Math.max(...differences), operators: [...operators].sort() };
  ours.dispose();
  await theirs.release();
}
console.log(JSON.stringify(found));
