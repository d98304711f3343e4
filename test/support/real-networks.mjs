// node test/support/real-networks.mjs '["mlsd", ...]'
//
// Runs networks of other people in our session ('gemm' and 'auto') and in onnxruntime, on random inputs of several dims, and
// prints by name and algorithm the largest relative L2 difference of an output.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { InferenceSession } from 'qarepvgg';
import { networkNamed } from '../../bench/lib/zoo.mjs';
import { relativeL2 } from './random-network.mjs';

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-networks-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
/** @type {Record<string, Record<string, number>>} */
const differences = {};
for (const name of JSON.parse(String(process.argv[2]))) {
  const { file, numbers, shapes } = networkNamed(name, folder);
  // Its optimisations exchange sums and products: of the detector they change the result by 1e-4. Without them it computes what
  // the file says.
  const theirs = await ort.InferenceSession.create(file, { graphOptimizationLevel: 'disabled', logSeverityLevel: 3 });
  const ours = {
    gemm: await InferenceSession.create(file, { algorithm: 'gemm' }),
    auto: await InferenceSession.create(file, { algorithm: 'auto' }),
  };
  /** @type {Record<string, number>} */
  const worst = { gemm: 0, auto: 0 };
  for (const inputs of shapes) {
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([input, dims]) => [input, new ort.Tensor('float32', numbers(dims), dims)]),
    );
    const expected = await theirs.run(feeds);
    for (const [algorithm, session] of Object.entries(ours)) {
      const received = await session.run(/** @type {any} */ (feeds));
      for (const [output, tensor] of Object.entries(expected)) {
        const { dims, data } = /** @type {{ dims: number[], data: Float32Array }} */ (received[output]);
        if (`${dims}` !== `${tensor.dims}`) throw new Error(`${name}, ${output}: dims ${dims}, theirs ${tensor.dims}`);
        const difference = relativeL2(data, /** @type {Float32Array} */ (tensor.data));
        worst[algorithm] = Math.max(Number(worst[algorithm]), difference);
      }
    }
  }
  differences[name] = worst;
  for (const session of Object.values(ours)) session.dispose();
  await theirs.release();
}
console.log(JSON.stringify(differences));
