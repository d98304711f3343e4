#!/usr/bin/env node
/**
 * Draws the images of examples/data/fashion-mnist from the whole of Fashion-MNIST. Build the package first.
 *
 *   node scripts/make-fashion-subset.mjs /usr/share/datasets/fashion-mnist
 *
 * The folder is where Debian's package dataset-fashion-mnist puts the data. The draw is seeded and stratified: as many
 * images of each class as of any other, give or take one, in their original order.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { loadFashionMnist } from '../dist/formats/fashion-mnist.js';
import { Random } from '../dist/random.js';

const seed = 1;
const counts = /** @type {const} */ ({ train: 512, test: 1000 });
const prefixes = { train: 'train', test: 't10k' };
const output = join(dirname(dirname(fileURLToPath(import.meta.url))), 'examples', 'data', 'fashion-mnist');

const [source] = process.argv.slice(2);
if (source === undefined) {
  console.error('usage: node scripts/make-fashion-subset.mjs FOLDER');
  process.exit(2);
}
mkdirSync(output, { recursive: true });
for (const split of /** @type {const} */ (['train', 'test'])) {
  const all = await loadFashionMnist(source, split);
  const some = all.subset(draw(all, counts[split]));
  const [height, width] = some.dims;
  writeIdx(`${prefixes[split]}-images-idx3-ubyte.gz`, [some.length, height, width], some.images);
  writeIdx(`${prefixes[split]}-labels-idx1-ubyte.gz`, [some.length], Uint8Array.from(some.labels));
}

/**
 * Indices of `count` images, in ascending order.
 * @param {import('../dist/formats/dataset.js').Dataset} data
 * @param {number} count
 */
function draw(data, count) {
  const random = new Random(seed);
  const share = count / data.classes.length;
  const drawn = data.classes.flatMap((_, label) => {
    const own = Array.from(data.labels.keys()).filter((index) => data.label(index) === label);
    // The first classes get one more when the count is not a multiple of theirs.
    const want = Math.floor(share) + (label < count % data.classes.length ? 1 : 0);
    return shuffle(own, random).slice(0, want);
  });
  return drawn.sort((a, b) => a - b);
}

/**
 * R. Durstenfeld's shuffle (CACM 7, 1964).
 * @param {number[]} values
 * @param {Random} random
 */
function shuffle(values, random) {
  for (let i = values.length - 1; i > 0; i--) {
    const j = Math.floor(random.uniform(0, i + 1));
    [values[i], values[j]] = [/** @type {number} */ (values[j]), /** @type {number} */ (values[i])];
  }
  return values;
}

/**
 * @param {string} name
 * @param {readonly number[]} dims
 * @param {Uint8Array} data
 */
function writeIdx(name, dims, data) {
  const header = Buffer.alloc(4 + 4 * dims.length);
  header.set([0, 0, 8, dims.length]);
  dims.forEach((dim, i) => {
    header.writeUInt32BE(dim, 4 + 4 * i);
  });
  writeFileSync(join(output, name), gzipSync(Buffer.concat([header, data]), { level: 9 }));
}
