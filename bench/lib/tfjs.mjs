// A network in deploy form on TensorFlow.js with its WebAssembly backend, which is no dependency of this package: where it is
// not installed, there is nothing to compare with.

import { createRequire } from 'node:module';
import { loadModel } from 'qarepvgg';

const packages = ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm'];

export const noTfjs = `no TensorFlow.js found: npm install --no-save ${packages.join(' ')}`;

/** Its version, or undefined where it is not installed. @returns {string | undefined} */
export function tfjsVersion() {
  const require = createRequire(import.meta.url);
  try {
    for (const name of packages) require.resolve(name);
    return require(`${packages[0]}/package.json`).version;
  } catch {
    return undefined;
  }
}

/** @returns {Promise<{ create(setup: { file: string }): Promise<import('./engines.mjs').Session> }>} */
export async function tfjsEngine() {
  // Not by literal names: type checks run where they are not installed.
  const [core, backend] = packages.map((name) => import(name));
  const tf = await core;
  await backend;
  await tf.setBackend('wasm');
  return {
    async create({ file }) {
      const model = /** @type {import('qarepvgg').Network} */ (await loadModel(file));
      const state = model.stateDict();
      const weightOf = (/** @type {string} */ key) => {
        const { data, dims } = /** @type {import('qarepvgg').Tensor} */ (state[key]);
        return tf.tensor(data, dims);
      };
      const convs = model
        .summary()
        .layers.filter(({ name }) => name.startsWith('stage'))
        .map(({ name, stride }) => ({
          // [out, in, 3, 3] -> [3, 3, in, out]
          filter: tf.transpose(weightOf(`${name}.rbr_reparam.weight`), [2, 3, 1, 0]),
          bias: weightOf(`${name}.rbr_reparam.bias`),
          strides: stride,
          pad: 1,
          activation: 'relu',
        }));
      const [linear, bias] = [tf.transpose(weightOf('linear.weight')), weightOf('linear.bias')];
      const forward = (/** @type {Float32Array} */ data, /** @type {number[]} */ dims) => {
        let x = tf.transpose(tf.tensor(data, dims), [0, 2, 3, 1]);
        for (const conv of convs) x = tf.fused.conv2d({ x, ...conv });
        return tf.add(tf.matMul(tf.mean(x, [1, 2]), linear), bias);
      };
      return {
        async run(data, dims) {
          const logits = tf.tidy(() => forward(data, dims));
          const result = await logits.data();
          logits.dispose();
          return result;
        },
        close: () => tf.disposeVariables(),
      };
    },
  };
}
