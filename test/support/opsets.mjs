// node test/support/opsets.mjs: for every opset from 7 to 21, operators whose form depends on it, in our session and in onnxruntime.
// Prints by opset the largest relative L2 difference of an output.

import ort from 'onnxruntime-node';
import { InferenceSession, randn } from 'qarepvgg';
import { NetworkWriter } from '../../bench/lib/network-writer.mjs';
import { relativeL2 } from './random-network.mjs';

const dims = [2, 4, 6, 8];

/**
 * A file with every form, and the names of its outputs.
 * @param {number} opset
 */
function network(opset) {
  const net = new NetworkWriter();
  const x = net.input('x', dims).name;
  /** @type {Record<string, { name: string, rank: number }>} */
  const outputs = {};
  /** @param {string} op @param {string} name @param {number} [rank] */
  const keep = (op, name, rank = 4) => {
    outputs[op.toLowerCase()] = { name, rank };
  };
  /** A list that is an attribute before `since`, and an input from then on. @param {number} since @param {string} name @param {number[]} list */
  const list = (since, name, list) =>
    opset < since ? { inputs: [], attributes: { [name]: list } } : { inputs: [net.integers(list)], attributes: {} };
  /** @param {string} op @param {number} since @param {string} name @param {number[]} values @param {number} rank @param {Record<string, number>} [more] */
  const withList = (op, since, name, values, rank, more = {}) => {
    const { inputs, attributes } = list(since, name, values);
    keep(op, net.node(op, [x, ...inputs], { ...attributes, ...more }), rank);
  };
  const scalar = (/** @type {number} */ value) => net.floats([], Float32Array.of(value));

  withList('Unsqueeze', 13, 'axes', [1], 5);
  keep(
    'Squeeze',
    net.node(
      'Squeeze',
      [String(outputs.unsqueeze?.name), ...list(13, 'axes', [1]).inputs],
      list(13, 'axes', [1]).attributes,
    ),
  );
  withList('ReduceSum', 13, 'axes', [1, 3], 2, { keepdims: 0 });
  withList('ReduceMean', 18, 'axes', [2], 4);
  withList('ReduceMax', 18, 'axes', [-1], 3, { keepdims: 0 });
  withList('Pad', 11, 'pads', [0, 0, 1, 2, 0, 0, 0, 1], 4);
  if (opset >= 18) keep('PadOfAxes', net.node('Pad', [x, net.integers([1, 2]), '', net.integers([3])]));
  if (opset < 10) keep('Slice', net.node('Slice', [x], { starts: [1, 0], ends: [3, 2 ** 31 - 1], axes: [1, 3] }));
  else
    keep(
      'Slice',
      net.node('Slice', [
        x,
        ...[
          [1, -1],
          [3, -100],
          [1, 3],
          [1, -2],
        ].map((values) => net.integers(values)),
      ]),
    );
  if (opset < 11) keep('Clip', net.node('Clip', [x], { min: -0.5, max: 0.75 }));
  else keep('Clip', net.node('Clip', [x, scalar(-0.5), scalar(0.75)]));
  const lengths = list(13, 'split', [1, 3]);
  const parts = net.nodes('Split', [x, ...lengths.inputs], 2, { axis: 1, ...lengths.attributes });
  for (const [i, name] of parts.entries()) keep(`Split${i}`, name);
  const halves = net.nodes('Split', [x], 2, { axis: 2, ...(opset >= 18 && { num_outputs: 2 }) });
  for (const [i, name] of halves.entries()) keep(`Half${i}`, name);
  keep('Softmax', net.node('Softmax', [x]));
  keep('SoftmaxOfChannels', net.node('Softmax', [x], { axis: 1 }));
  keep('LogSoftmax', net.node('LogSoftmax', [x], { axis: -1 + (opset < 11 ? 4 : 0) }));
  keep('Flatten', net.node('Flatten', [x], { axis: 2 }), 2);
  keep('BatchNormalization', net.batchNorm(x, 4));
  keep('Dropout', net.node('Dropout', [x]));
  keep('PRelu', net.node('PRelu', [x, net.floats([4, 1, 1], Float32Array.of(0.1, 0.2, 0.3, 0.4))]));
  keep('Sum', net.node('Sum', [x, x, x]));
  keep(
    'Gemm',
    net.node('Gemm', [
      String(outputs.flatten?.name),
      net.weights([48, 5], 48),
      net.floats([5], new Float32Array(5).fill(0.5)),
    ]),
    2,
  );
  keep(
    'MaxPool',
    net.node('MaxPool', [x], { kernel_shape: [3, 3], strides: [2, 2], ...(opset >= 10 && { ceil_mode: 1 }) }),
  );
  keep(
    'AveragePool',
    net.node('AveragePool', [x], {
      kernel_shape: [3, 3],
      pads: [1, 1, 1, 1],
      ...(opset >= 19 && { dilations: [2, 2] }),
    }),
  );
  const k = opset < 10 ? { inputs: [], attributes: { k: 3 } } : { inputs: [net.integers([3])], attributes: {} };
  keep('TopK', String(net.nodes('TopK', [x, ...k.inputs], 2, { axis: 3, ...k.attributes })[0]));
  const scales = net.floats([4], Float32Array.of(1, 1, 2, 2));
  if (opset < 9) keep('Upsample', net.node('Upsample', [x], { mode: 'nearest', scales: Float32Array.of(1, 1, 2, 2) }));
  else if (opset < 10) keep('Upsample', net.node('Upsample', [x, scales], { mode: 'linear' }));
  else if (opset < 11) keep('Resize', net.node('Resize', [x, scales], { mode: 'linear' }));
  else keep('Resize', net.node('Resize', [x, net.floats([0], new Float32Array(0)), scales], { mode: 'linear' }));
  if (opset >= 18)
    keep('ResizeOfAxes', net.node('Resize', [x, '', '', net.integers([9, 5])], { mode: 'cubic', axes: [2, 3] }));
  if (opset >= 13) {
    const zero = net.bytes([1], Uint8Array.of(128));
    const quantized = net.node('QuantizeLinear', [x, net.floats([1], Float32Array.of(0.03)), zero]);
    keep('QDQ', net.node('DequantizeLinear', [quantized, net.floats([1], Float32Array.of(0.03)), zero]));
  }
  if (opset >= 14) keep('HardSwish', net.node('HardSwish', [x]));
  if (opset >= 17) keep('LayerNormalization', net.node('LayerNormalization', [x, net.weights([8], 8)]));
  if (opset >= 18) keep('Mish', net.node('Mish', [x]));
  if (opset >= 20) keep('Gelu', net.node('Gelu', [x], { approximate: 'tanh' }));
  return net.finishRanks(outputs, { opset, irVersion: opset < 15 ? 7 : opset < 19 ? 8 : 10 });
}

/** @type {Record<string, number | string>} */
const differences = {};
const feeds = { x: new ort.Tensor('float32', randn(dims, { seed: 5 }).data, dims) };
for (let opset = 7; opset <= 21; opset++) {
  const bytes = network(opset);
  const theirs = await ort.InferenceSession.create(bytes, { graphOptimizationLevel: 'disabled', logSeverityLevel: 3 });
  const ours = await InferenceSession.create(bytes);
  const [expected, received] = [await theirs.run(feeds), await ours.run(/** @type {any} */ (feeds))];
  let worst = 0;
  for (const [name, { data, dims }] of Object.entries(expected)) {
    const other = /** @type {{ data: Float32Array, dims: number[] }} */ (received[name]);
    if (`${other.dims}` !== `${dims}`) throw new Error(`opset ${opset}, ${name}: dims ${other.dims}, theirs ${dims}`);
    const difference = relativeL2(other.data, /** @type {Float32Array} */ (data));
    if (!(difference < 1e-5)) throw new Error(`opset ${opset}, ${name}: off by ${difference}`);
    worst = Math.max(worst, difference);
  }
  differences[opset] = worst;
  ours.dispose();
  await theirs.release();
}
console.log(JSON.stringify(differences));
