// ncnn through its own benchncnn, which whoever has built it may name: it times a network of which it has the layers alone, with weights
// of zero, so results cannot be compared. Each turn is a process of its own.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** @typedef {{ channels: number, out: number, stride: number }} Block a 3x3 convolution with ReLU behind it */

/** What benchncnn prints of a network, in ms. */
const times = /min =\s*([\d.]+)\s+max =\s*[\d.]+\s+avg =\s*[\d.]+/;

/** Ways to give integers on: to the next convolution as integers, or as floats. */
const [toIntegers, toFloats] = [102, 2];

/**
 * The layers of a chain of convolutions with a classifier, in ncnn's format.
 *
 * @param {readonly Block[]} blocks @param {number} classes @param {boolean} integers
 */
export function ncnnLayers(blocks, classes, integers) {
  const lines = ['Input input 0 1 x0'];
  for (const [i, { channels, out, stride }] of blocks.entries()) {
    const scales = integers ? ` 8=${i === blocks.length - 1 ? toFloats : toIntegers}` : '';
    const sizes = `0=${out} 1=3 3=${stride} 4=1 5=1 6=${9 * channels * out}`;
    lines.push(`Convolution conv${i} 1 1 x${i} x${i + 1} ${sizes}${scales} 9=1`);
  }
  const last = blocks.at(-1)?.out ?? 0;
  lines.push(`Pooling pool 1 1 x${blocks.length} pooled 0=1 4=1`);
  lines.push(`InnerProduct linear 1 1 pooled logits 0=${classes} 1=1 2=${last * classes}${integers ? ' 8=2' : ''}`);
  return `7767517\n${lines.length} ${lines.length}\n${lines.join('\n')}\n`;
}

/** The layers of a network of this package in deploy form. @param {import('qarepvgg').Network} model @returns {{ blocks: Block[], classes: number }} */
export function layersOf(model) {
  const state = model.stateDict();
  const dimsOf = (/** @type {string} */ name) => state[name]?.dims ?? [];
  const blocks = model
    .summary()
    .layers.filter(({ name }) => name.startsWith('stage'))
    .map(({ name, stride }) => {
      const [out = 0, channels = 0] = dimsOf(`${name}.rbr_reparam.weight`);
      return { channels, out, stride: Number(stride) };
    });
  return { blocks, classes: Number(dimsOf('linear.weight')[0]) };
}

/**
 * Runs benchncnn once; the shortest time of an image, in ms.
 *
 * @param {string} program @param {string} layers a file @param {number} size of the image @param {number} threads @param {number} loops
 */
export function ncnnTime(program, layers, size, threads, loops) {
  const setting = [loops, threads, 0, -1, 0].map(String);
  const { stdout, stderr, error } = spawnSync(
    program,
    [...setting, `param=${basename(layers)}`, `shape=[${size},${size},3]`],
    { cwd: dirname(layers), encoding: 'utf8' },
  );
  const [, time] = times.exec(`${stdout}${stderr}`) ?? [];
  if (time) return Number(time);
  throw new Error(
    `${program}: expected times of a network, received ${error?.message ?? (`${stdout}${stderr}`.trim() || 'nothing')}`,
  );
}

/** @param {string} folder @param {import('qarepvgg').Network} model in deploy form @param {boolean} integers */
export function writeLayers(folder, model, integers) {
  const { blocks, classes } = layersOf(model);
  const file = join(folder, integers ? 'int8.param' : 'float32.param');
  writeFileSync(file, ncnnLayers(blocks, classes, integers));
  return file;
}
