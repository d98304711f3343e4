// node test/support/few-ops.mjs: operators that few files have, in our session and in onnxruntime, and in onnxruntime as exportOnnx
// writes them. Prints by name the largest difference of a number of an output from theirs, relative to the largest of it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { exportOnnx, InferenceSession, importOnnx, randn } from 'qarepvgg';
import { NetworkWriter } from '../../bench/lib/network-writer.mjs';

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-few-ops-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const dims = [2, 3, 6, 7];
const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
const x = randn(dims, { seed: 9 }).data;
/** @type {Record<string, number>} */
const differences = {};

/** @typedef {(name: string, op: string, inputs: string[], attributes?: Parameters<NetworkWriter['node']>[2], rank?: number) => string} Keep */

await compare('float', 13, x, (net, keep) => {
  for (const axis of [0, 1, -1]) keep(`hardmax${axis}`, 'Hardmax', ['x'], { axis });
  keep('hardmaxOfEqual', 'Hardmax', [net.node('Floor', ['x'])], {});
  keep('shrink', 'Shrink', ['x']);
  keep('shrinkSoft', 'Shrink', ['x'], { lambd: 0.25, bias: 0.125 });
  keep('mvn', 'MeanVarianceNormalization', ['x']);
  keep('mvnOfChannels', 'MeanVarianceNormalization', ['x'], { axes: [1] });
  keep('mvnOfAll', 'MeanVarianceNormalization', ['x'], { axes: [0, 1, 2, 3] });
  for (const p of [1, 2, 3]) {
    keep(`lp${p}`, 'LpPool', ['x'], { p, kernel_shape: [2, 3] });
    keep(`lpPadded${p}`, 'LpPool', ['x'], { p, kernel_shape: [3, 3], strides: [2, 2], pads: [1, 0, 1, 2] });
    keep(`lpSame${p}`, 'LpPool', ['x'], { p, kernel_shape: [3, 2], strides: [2, 2], auto_pad: 'SAME_UPPER' });
    keep(`globalLp${p}`, 'GlobalLpPool', ['x'], { p });
  }
  const line = net.node('Reshape', ['x', net.integers([0, 3, 42])]);
  keep('lpOfLine', 'LpPool', [line], { kernel_shape: [5], strides: [2] }, 3);
  const where = net.node('Cast', [net.integers([0, 1, 1, 0, 1])], { to: 9 });
  keep('compress', 'Compress', ['x', where], { axis: 2 });
  keep('compressOfLast', 'Compress', ['x', where], { axis: -1 });
  keep('compressOfAll', 'Compress', ['x', where], {}, 1);
  const positive = net.node('Greater', [
    net.node('ReduceSum', ['x', net.integers([0, 1, 3])], { keepdims: 0 }),
    net.floats([], Float32Array.of(0)),
  ]);
  keep('compressOfData', 'Compress', ['x', positive], { axis: 2 });
  keep('compressThenSum', 'ReduceSum', [net.node('Compress', ['x', positive], { axis: 2 }), net.integers([2])], {}, 4);
});

// Convolutions whose weights are computed in the run.
await compare('kernels', 13, x, (net, keep) => {
  const numbers = net.node('ReduceMean', ['x'], { axes: [0], keepdims: 0 });
  const weight = (/** @type {number[]} */ ...of) => net.node('Reshape', [numbers, net.integers(of)]);
  const bias = net.node('ReduceMean', [numbers], { axes: [0, 1], keepdims: 0 });
  keep('plain', 'Conv', ['x', weight(7, 3, 3, 2)]);
  keep('padded', 'Conv', ['x', weight(7, 3, 3, 2), bias], { pads: [1, 0, 2, 1], strides: [2, 1], dilations: [1, 2] });
  keep('same', 'Conv', ['x', weight(7, 3, 2, 3)], { auto_pad: 'SAME_UPPER', strides: [2, 2] });
  keep('grouped', 'Conv', ['x', weight(21, 1, 3, 2)], { group: 3 });
  keep('biasAlone', 'Conv', ['x', net.floats([7, 3, 1, 1], randn([21], { seed: 2 }).data), bias]);
  const line = net.node('Reshape', ['x', net.integers([0, 3, 42])]);
  keep('line', 'Conv', [line, weight(6, 3, 7)], { pads: [3, 3], dilations: [2] }, 3);
  keep('active', 'Relu', [net.node('Conv', ['x', weight(7, 3, 3, 2), bias])]);
});

await compare('early', 11, x, (_, keep) => {
  for (const axis of [1, 2]) keep(`hardmax${axis}`, 'Hardmax', ['x'], { axis });
});

await compare(
  'odd',
  13,
  Float32Array.from(x, (value, i) => odd[i] ?? value),
  (_, keep) => {
    for (const detect_positive of [0, 1]) {
      for (const detect_negative of [0, 1]) {
        keep(`isInf${detect_positive}${detect_negative}`, 'IsInf', ['x'], { detect_positive, detect_negative });
      }
    }
  },
);

await compare('late', 19, x, (net, keep) => {
  const pads = (/** @type {number[]} */ ...list) => net.integers(list);
  keep('wrap', 'Pad', ['x', pads(0, 1, 2, 3, 0, 0, 1, 2)], { mode: 'wrap' });
  keep('wrapOften', 'Pad', ['x', pads(0, 0, 6, 0, 0, 3, 0, 7)], { mode: 'wrap' });
  keep('lpCeil', 'LpPool', ['x'], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 });
  keep('lpDilated', 'LpPool', ['x'], { kernel_shape: [2, 3], dilations: [2, 2], pads: [0, 1, 0, 1] });
});

await compare(
  'integers',
  13,
  Float32Array.from(x, (value) => Math.abs(Math.round(20 * value))),
  (net, keep) => {
    for (const [name, to] of Object.entries({ uint8: 2, uint32: 12, uint64: 13 })) {
      const numbers = net.node('Cast', ['x'], { to });
      const bits = net.node('Cast', [net.integers([0, 1, 2, 3, 1, 0, 2])], { to });
      for (const direction of ['LEFT', 'RIGHT']) {
        const shifted = net.node('BitShift', [numbers, bits], { direction });
        keep(`${name}${direction}`, 'Cast', [shifted], { to: 1 });
      }
    }
  },
);

console.log(JSON.stringify(differences));

/** @param {string} group @param {number} opset @param {Float32Array} data @param {(net: NetworkWriter, keep: Keep) => void} make */
async function compare(group, opset, data, make) {
  const net = new NetworkWriter();
  net.input('x', ['n', ...dims.slice(1)]);
  /** @type {Record<string, { name: string, rank: number }>} */
  const outputs = {};
  make(net, (name, op, inputs, attributes = {}, rank = 4) => {
    const made = net.node(op, inputs, attributes);
    const floats = op === 'IsInf' ? net.node('Cast', [made], { to: 1 }) : made;
    outputs[name] = { name: floats, rank };
    return floats;
  });
  const bytes = net.finishRanks(outputs, { opset, irVersion: opset < 19 ? 8 : 10 });
  const again = join(folder, `${group}.onnx`);
  await exportOnnx(await importOnnx(bytes), again);
  const plain = /** @type {const} */ ({ graphOptimizationLevel: 'disabled', logSeverityLevel: 3 });
  const theirs = await ort.InferenceSession.create(bytes, plain);
  const exported = await ort.InferenceSession.create(again, plain);
  const ours = await InferenceSession.create(bytes);
  const feeds = { x: new ort.Tensor('float32', data, dims) };
  const expected = await theirs.run(feeds);
  const results = [await ours.run(/** @type {any} */ (feeds)), await exported.run(feeds)];
  for (const [name, tensor] of Object.entries(expected)) {
    const apart = results.map((result) =>
      difference(name, /** @type {Numbers} */ (result[name]), /** @type {Numbers} */ (tensor)),
    );
    differences[`${group}.${name}`] = Math.max(...apart);
  }
  ours.dispose();
  await theirs.release();
  await exported.release();
}

/** @typedef {{ data: Float32Array, dims: readonly number[] }} Numbers */

/** @param {string} name @param {Numbers} mine @param {Numbers} theirs */
function difference(name, mine, theirs) {
  if (`${mine.dims}` !== `${theirs.dims}`) throw new Error(`${name}: dims ${mine.dims} instead of ${theirs.dims}`);
  const numbers = [...theirs.data];
  const apart = numbers.map((value, i) =>
    Object.is(value, mine.data[i]) ? 0 : Math.abs(value - Number(mine.data[i])),
  );
  return Math.max(...apart) / Math.max(1, ...numbers.map(Math.abs));
}
