// node test/support/onnxruntime-files.mjs cases.json results.json
//
// Runs ONNX files in onnxruntime: cases.json is [{ "model": base64, "inputs": { "x": { "dims": [...], "data": [...] } } }, ...] with
// inputs of floats. Writes a list with the data of the first output of each, and prints how many there are.

import { readFileSync, writeFileSync } from 'node:fs';
import ort from 'onnxruntime-node';

/** @typedef {{ model: string, inputs: Record<string, { dims: number[], data: number[] }> }} Case */

const results = [];
for (const { model, inputs } of /** @type {Case[]} */ (JSON.parse(readFileSync(String(process.argv[2]), 'utf8')))) {
  const session = await ort.InferenceSession.create(Buffer.from(model, 'base64'));
  const feeds = Object.entries(inputs).map(([name, { dims, data }]) => [
    name,
    new ort.Tensor('float32', Float32Array.from(data), dims),
  ]);
  const outputs = await session.run(Object.fromEntries(feeds));
  results.push([...(outputs[session.outputNames[0] ?? '']?.data ?? [])]);
}
writeFileSync(String(process.argv[3]), JSON.stringify(results));
process.stdout.write(JSON.stringify(results.length));
