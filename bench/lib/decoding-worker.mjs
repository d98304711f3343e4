// A worker thread that keeps libuv's threads busy with decoding JPEGs, while it is told true. It answers every message once
// that is so, and sends one when it is ready.

import { parentPort } from 'node:worker_threads';
import { randn } from 'qarepvgg';
import sharp from 'sharp';

const side = 1024;
/** Decodings that wait, so that none of libuv's threads ever does. */
const pending = 12;

const pixels = Buffer.from(randn([side * side * 3]).data.map((value) => 128 + 32 * value));
const jpeg = await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
  .jpeg()
  .toBuffer();

let isOn = false;
/** @type {Promise<void>[]} */
let all = [];

async function decode() {
  while (isOn) await sharp(jpeg).raw().toBuffer();
}

parentPort?.on('message', async (/** @type {boolean} */ on) => {
  isOn = on;
  if (on) all = Array.from({ length: pending }, decode);
  else await Promise.all(all);
  parentPort?.postMessage(on);
});
parentPort?.postMessage(isOn);
