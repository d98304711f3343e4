// node test/support/fused-ops.mjs: operators that onnxruntime's optimizer writes, in our session and in onnxruntime. Prints by name the
// relative L2 difference.

import ort from 'onnxruntime-node';
import { InferenceSession, randn } from 'qarepvgg';
import { NetworkWriter } from '../../bench/lib/network-writer.mjs';
import { relativeL2 } from './random-network.mjs';

const dims = [2, 3, 4, 5];
const net = new NetworkWriter();
const x = net.input('x', ['n', ...dims.slice(1)]).name;
/** @type {Record<string, { name: string, rank: number }>} */
const outputs = {};
/** @param {string} name @param {string} op @param {string[]} inputs @param {Parameters<NetworkWriter['node']>[2]} [attributes] @param {number} [rank] */
const keep = (name, op, inputs, attributes = {}, rank = 4) => {
  outputs[name] = { name: net.node(`com.microsoft:${op}`, inputs, attributes), rank };
};
const floats = (/** @type {number[]} */ ...of) => net.floats(of, randn(of, { seed: of.length }).data);

const window = { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1], dilations: [1, 1], group: 1 };
/** Activations with their parameters. @type {Record<string, number[]>} */
const activations = { Relu: [], Sigmoid: [], Tanh: [], LeakyRelu: [0.25], Clip: [-0.5, 0.75], HardSigmoid: [0.3, 0.4] };
for (const [activation, parameters] of Object.entries(activations)) {
  const own = {
    ...window,
    activation,
    ...(parameters.length > 0 && { activation_params: Float32Array.from(parameters) }),
  };
  keep(`conv${activation}`, 'FusedConv', [x, floats(3, 3, 3, 3), floats(3)], own);
}
keep('convPlain', 'FusedConv', [x, floats(3, 3, 3, 3)], window);
keep('convSum', 'FusedConv', [x, floats(3, 3, 3, 3), floats(3), x], { ...window, activation: 'Relu' });

const rows = net.node('Flatten', [x], { axis: 1 });
/** @type {Record<string, Record<string, number>>} */
const gemmActivations = {
  Relu: {},
  Sigmoid: {},
  Tanh: {},
  LeakyRelu: { activation_alpha: 0.25 },
  HardSigmoid: { activation_alpha: 0.3, activation_beta: 0.4 },
  Elu: { activation_alpha: 0.75 },
  Softplus: {},
  Softsign: {},
  Selu: { activation_alpha: 1.5, activation_gamma: 1.25 },
  ThresholdedRelu: { activation_alpha: 0.75 },
};
for (const [activation, parameters] of Object.entries(gemmActivations)) {
  const own = { activation, alpha: 0.125, transB: 1, ...parameters };
  keep(`gemm${activation}`, 'FusedGemm', [rows, floats(7, 60), floats(7)], own, 2);
}

for (let flags = 0; flags < 16; flags++) {
  const flag = (/** @type {number} */ bit) => Number((flags & bit) !== 0);
  const [transA, transB, transBatchA, transBatchB] = [flag(1), flag(2), flag(4), flag(8)];
  const attributes = { alpha: 0.3, transA, transB, transBatchA, transBatchB };
  // From [..., rows, columns] to where the operator looks for them.
  const place = (/** @type {number} */ trans, /** @type {number} */ batch) =>
    trans ? (batch ? [3, 0, 1, 2] : [0, 1, 3, 2]) : batch ? [2, 0, 1, 3] : [0, 1, 2, 3];
  const a = net.node('Transpose', [x], { perm: place(transA, transBatchA) });
  const b = net.node('Transpose', [net.node('Transpose', [x], { perm: [0, 1, 3, 2] })], {
    perm: place(transB, transBatchB),
  });
  keep(`matMul${flags}`, 'FusedMatMul', [a, b], attributes);
}
keep('matMulOfConstant', 'FusedMatMul', [x, floats(6, 5)], { transB: 1 });

keep('gelu', 'Gelu', [x]);
keep('biasGelu', 'BiasGelu', [x, floats(5)]);
keep('fastGelu', 'FastGelu', [x]);
keep('fastGeluOfSum', 'FastGelu', [x, floats(5)]);
keep('quickGelu', 'QuickGelu', [x]);
keep('quickGeluOfHalf', 'QuickGelu', [x], { alpha: 0.5 });

const tokens = net.node('Reshape', [x, net.integers([0, 12, 5])]);
const other = net.node('Relu', [tokens]);
const [scale, shift, bias] = [floats(5), floats(5), floats(5)];
keep('skipNorm', 'SkipLayerNormalization', [tokens, other, scale, shift], { epsilon: 0.001 }, 3);
keep('skipNormOfBias', 'SkipLayerNormalization', [tokens, other, scale, shift, bias], { epsilon: 0.001 }, 3);
keep('skipNormPlain', 'SkipLayerNormalization', [tokens, other, scale], {}, 3);
outputs.simplifiedNorm = {
  name: net.node('SimplifiedLayerNormalization', [tokens, scale], { epsilon: 0.001 }),
  rank: 3,
};

const bytes = net.finishRanks(outputs);
const theirs = await ort.InferenceSession.create(bytes, { graphOptimizationLevel: 'disabled', logSeverityLevel: 3 });
const ours = await InferenceSession.create(bytes, { algorithm: 'gemm' });
const feeds = { x: new ort.Tensor('float32', randn(dims, { seed: 9 }).data, dims) };
const [expected, received] = [await theirs.run(feeds), await ours.run(/** @type {any} */ (feeds))];
/** @type {Record<string, number>} */
const differences = {};
for (const [name, { data, dims: given }] of Object.entries(expected)) {
  const mine = /** @type {{ data: Float32Array, dims: number[] }} */ (received[name]);
  if (`${mine.dims}` !== `${given}`) throw new Error(`${name}: dims ${mine.dims} instead of ${given}`);
  differences[name] = relativeL2(mine.data, /** @type {Float32Array} */ (data));
}
ours.dispose();
await theirs.release();
console.log(JSON.stringify(differences));
