// node test/support/resizes.mjs: Resize in every mode, with many scales and lengths, in our session and in onnxruntime. Prints how many
// outputs there are, and the largest relative L2 difference of one. Results that are moved numbers must be equal.

import ort from 'onnxruntime-node';
import { InferenceSession, randn } from 'qarepvgg';
import { NetworkWriter } from '../../bench/lib/network-writer.mjs';
import { relativeL2 } from './random-network.mjs';

const scales = [1 / 3, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9, 1.05, 1.1, 1.2, 1.3, 1.7, 2, 2.3, 3.3];
const sizes = [
  [10, 9],
  [16, 23],
  [31, 40],
];
const lengths = [1, 4, 7, 9, 13, 33];
const modes = ['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'];
const laterModes = [...modes, 'half_pixel_symmetric', 'tf_crop_and_resize'];
const nearest = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'];

const antialiased = [
  { mode: 'linear', antialias: 1 },
  { mode: 'cubic', antialias: 1 },
  { mode: 'cubic', antialias: 1, exclude_outside: 1, cubic_coeff_a: -0.5 },
];

/** @typedef {Record<string, number | string>} Attributes */

/** The attributes of every kind of Resize that an opset has. @param {number} opset @returns {Attributes[]} */
function kinds(opset) {
  if (opset < 11) return [{ mode: 'nearest' }, { mode: 'linear' }];
  const coordinates = opset < 13 ? [...modes, 'tf_half_pixel_for_nn'] : opset < 19 ? modes : laterModes;
  return coordinates.flatMap((mode) => {
    const attributes = { coordinate_transformation_mode: mode };
    return [
      ...nearest.map((nearest_mode) => ({ ...attributes, mode: 'nearest', nearest_mode })),
      { ...attributes, mode: 'linear' },
      { ...attributes, mode: 'cubic' },
      { ...attributes, mode: 'cubic', exclude_outside: 1, cubic_coeff_a: -0.5 },
      ...(opset < 19 || mode === 'tf_crop_and_resize' ? [] : antialiased.map((kind) => ({ ...attributes, ...kind }))),
    ];
  });
}

/**
 * A file that resizes x in every way.
 *
 * @param {number} opset @param {readonly number[]} size @param {boolean} isQuantized
 */
function network(opset, [h = 0, w = 0], isQuantized) {
  const net = new NetworkWriter();
  const x = net.input('x', [1, 2, h, w]).name;
  const parameters = [net.floats([], Float32Array.of(0.03)), net.bytes([], Uint8Array.of(120))];
  const rounded = (/** @type {string} */ name) =>
    net.node('DequantizeLinear', [net.node('QuantizeLinear', [name, ...parameters]), ...parameters]);
  const source = isQuantized ? rounded(x) : x;
  /** @type {Record<string, { name: string, rank: number }>} */
  const outputs = {};
  /** @param {readonly string[]} inputs @param {Attributes} attributes @param {string} text */
  const add = (inputs, attributes, text) => {
    const resized = net.node(opset < 10 ? 'Upsample' : 'Resize', [source, ...inputs], attributes);
    const name = isQuantized ? rounded(resized) : resized;
    outputs[`${Object.values(attributes).join('_')}_${text}`] = { name, rank: 4 };
  };
  const region = net.floats([8], Float32Array.of(0, 0, 0.1, 0.2, 1, 1, 0.9, 0.8));
  for (const kind of kinds(opset)) {
    const isCrop = kind.coordinate_transformation_mode === 'tf_crop_and_resize';
    if (isQuantized && (kind.mode !== 'nearest' || isCrop)) continue;
    const roi = opset < 11 ? [] : [isCrop || opset < 13 ? region : ''];
    for (const scale of opset < 11 ? scales.filter((value) => value >= 1) : scales) {
      // Of these, onnxruntime does not resize axes that keep their length, although the scale moves pixels.
      const keeps = kind.antialias && scale !== 1 && Math.floor(h * scale) === h;
      if (!isCrop && !keeps)
        add(
          [...roi, net.floats([4], Float32Array.of(1, 1, scale, 1 / scale + (opset < 11 ? 1 : 0)))],
          kind,
          `${scale}`,
        );
    }
    if (opset < 11) continue;
    const none = opset < 13 ? net.floats([0], new Float32Array(0)) : '';
    for (const length of lengths)
      add([...roi, none, net.integers([1, 2, length, 20 - (length % 20)])], kind, `to_${length}`);
  }
  return net.finishRanks(outputs, { opset, irVersion: opset < 19 ? 8 : 10 });
}

const found = { outputs: 0, worst: 0 };
for (const opset of [9, 10, 11, 19]) {
  for (const size of sizes) {
    for (const isQuantized of opset < 13 ? [false] : [false, true]) await compare(opset, size, isQuantized);
  }
}
console.log(JSON.stringify(found));

/** @param {number} opset @param {readonly number[]} size @param {boolean} isQuantized */
async function compare(opset, size, isQuantized) {
  const bytes = network(opset, size, isQuantized);
  const dims = [1, 2, ...size];
  const feeds = { x: new ort.Tensor('float32', randn(dims, { seed: 5 }).data, dims) };
  const theirs = await ort.InferenceSession.create(bytes, { graphOptimizationLevel: 'disabled', logSeverityLevel: 3 });
  const ours = await InferenceSession.create(bytes);
  const [expected, received] = [await theirs.run(feeds), await ours.run(/** @type {any} */ (feeds))];
  const wrong = [];
  for (const [name, { data, dims }] of Object.entries(expected)) {
    const other = /** @type {{ data: Float32Array, dims: number[] }} */ (received[name]);
    const isSame = `${other.dims}` === `${dims}`;
    const difference = isSame ? relativeL2(other.data, /** @type {Float32Array} */ (data)) || 0 : Number.NaN;
    if (!(difference <= (name.startsWith('nearest') || name.includes('_nearest_') ? 0 : 1e-6))) {
      wrong.push(`${name} [${dims}] from [${size}]: ${isSame ? `off by ${difference}` : `dims ${other.dims}`}`);
    }
    found.outputs++;
    found.worst = Math.max(found.worst, difference);
  }
  ours.dispose();
  await theirs.release();
  if (wrong.length > 0) throw new Error(`opset ${opset}, ${wrong.length} wrong:\n${wrong.slice(0, 20).join('\n')}`);
}
