// npm run bench:detect: from a JPEG file to boxes with YOLOv6-N, and what share of the time each step takes; and non-maximum
// suppression of 10,000 boxes alone.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { info, transformImage } from 'qarepvgg';
import { Detector, nonMaxSuppression, readImage } from 'qarepvgg/vision';
import sharp from 'sharp';
import { decoders } from '../dist/vision/decoders.js';
import { imageInputOf } from '../dist/vision/image-input.js';
import { fitInto } from '../dist/vision/letterbox.js';
import { sceneNames, sceneOf } from './lib/box-scenes.mjs';
import { median } from './lib/numbers.mjs';
import { readCount, readOptions } from './lib/options.mjs';
import { yolov6 } from './lib/yolov6.mjs';

const usage = `usage: npm run bench:detect -- [options]
  --side N       of the network's input, default 640
  --boxes N      that reach non-maximum suppression, default 1000; a trained network leaves fewer
  --threads N    default all
  --rounds N     default 15
  --json         print JSON`;

const values = readOptions(usage, {
  side: { type: 'string', default: '640' },
  boxes: { type: 'string', default: '1000' },
  threads: { type: 'string' },
  rounds: { type: 'string', default: '15' },
  json: { type: 'boolean', default: false },
});
const [side, boxCount, rounds] = [values.side, values.boxes, values.rounds].map((text) => readCount(usage, text));
const threads = values.threads === undefined ? info().threads : readCount(usage, values.threads);

/** As COCO has them, and as cameras and telephones do. */
const photos = /** @type {const} */ ([
  [640, 480],
  [1280, 720],
  [1920, 1080],
]);

/** Photographs that are given to a detector together: while one is decoded, another runs. */
const together = 8;

const steps = /** @type {const} */ (['decode', 'letterbox', 'run', 'boxes']);

/** A photograph of that size. @param {string} folder @param {number} width @param {number} height */
async function photograph(folder, width, height) {
  const file = join(folder, `${width}x${height}.jpg`);
  const source = join(import.meta.dirname, '../examples/images/astronaut.jpg');
  // Noise, so that the file is as large as those of cameras.
  const noise = { width, height, channels: /** @type {const} */ (3), background: '#808080' };
  const grain = sharp({ create: { ...noise, noise: { type: 'gaussian', mean: 128, sigma: 8 } } });
  const layer = await grain.png().toBuffer();
  const picture = sharp(source)
    .resize(width, height)
    .composite([{ input: layer, blend: 'soft-light' }]);
  writeFileSync(file, await picture.jpeg({ quality: 90 }).toBuffer());
  return file;
}

/** @param {Detector} detector @param {string} file @param {number} threshold */
async function timeSteps(detector, file, threshold) {
  const { session } = detector;
  const { size, channels, floats, name } = imageInputOf(
    session,
    { size: undefined, preprocessing: undefined },
    { side: Number(side), scaling: [0, 1] },
  );
  const clock = [performance.now()];
  const pixels = await readImage(file, { channels });
  clock.push(performance.now());
  const fit = (/** @type {import('qarepvgg').Sides} */ own) => ({ ...fitInto(own, size).transform, fill: 114 });
  const prepared = await (floats ? transformImage(pixels, fit, undefined, floats) : transformImage(pixels, fit));
  clock.push(performance.now());
  const fetches = await session.run({ [name]: prepared });
  clock.push(performance.now());
  const outputs = session.outputNames.map((output) => /** @type {import('qarepvgg').Tensor} */ (fetches[output]));
  const { boxes, scores, classes } = decoders.yolov6.decode(outputs, size, threshold);
  const kept = nonMaxSuppression(boxes, scores, { classes, maxDetections: 300 });
  clock.push(performance.now());
  return { outputs, times: steps.map((_, i) => Number(clock[i + 1]) - Number(clock[i])), kept: kept.length };
}

/** The score that so many boxes exceed. @param {import('qarepvgg').Tensor} rows */
function thresholdFor({ data, dims }) {
  const columns = Number(dims[2]);
  const best = Array.from({ length: data.length / columns }, (_, i) =>
    Math.max(...data.subarray(i * columns + 5, (i + 1) * columns)),
  );
  return best.sort((a, b) => b - a)[Number(boxCount)] ?? 0;
}

/** @param {string} folder */
async function measureDetection(folder) {
  const model = join(folder, 'yolov6n.onnx');
  writeFileSync(model, yolov6({ side: Number(side) }));
  const results = [];
  for (const [width, height] of photos) {
    const file = await photograph(folder, width, height);
    const first = await Detector.create(model, { threads });
    const threshold = thresholdFor(
      /** @type {import('qarepvgg').Tensor} */ ((await timeSteps(first, file, 0)).outputs[0]),
    );
    first.dispose();
    const detector = await Detector.create(model, { threads, scoreThreshold: threshold });
    /** @type {number[][]} */
    const times = [];
    /** @type {number[]} */
    const whole = [];
    /** @type {number[]} */
    const among = [];
    for (let round = 0; round <= Number(rounds); round++) {
      const { times: own } = await timeSteps(detector, file, threshold);
      const start = performance.now();
      await detector.detect(file);
      const middle = performance.now();
      await detector.detect(Array(together).fill(file));
      if (round === 0) continue; // warms up
      whole.push(middle - start);
      among.push((performance.now() - middle) / together);
      times.push(own);
    }
    detector.dispose();
    const medians = steps.map((_, i) => median(times.map((own) => Number(own[i]))));
    const sum = medians.reduce((total, ms) => total + ms, 0);
    const run = Number(medians[2]);
    results.push({
      width,
      height,
      whole: median(whole),
      amongOthers: median(among),
      besideRun: 1 - run / sum,
      steps: Object.fromEntries(steps.map((step, i) => [step, { ms: medians[i], share: Number(medians[i]) / sum }])),
    });
  }
  return results;
}

function measureSuppression() {
  return sceneNames.flatMap((scene) =>
    [undefined, 80].map((classCount) => {
      const { boxes, scores, classes } = sceneOf(scene, 10_000, classCount);
      let kept = 0;
      const ms = Array.from({ length: Number(rounds) + 5 }, () => {
        const start = performance.now();
        kept = nonMaxSuppression(boxes, scores, classes ? { classes } : {}).length;
        return performance.now() - start;
      }).slice(5);
      return { scene, classes: classCount ?? 1, kept, median: median(ms), min: Math.min(...ms) };
    }),
  );
}

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-bench-'));
try {
  const detection = await measureDetection(folder);
  const suppression = measureSuppression();
  if (values.json) console.log(JSON.stringify({ ...info(), threads, detection, suppression }, null, 2));
  else {
    console.log(`YOLOv6-N at ${side} with random weights, ${info().isa}, threads ${threads}; medians of ${rounds}, ms`);
    for (const { width, height, whole, amongOthers, besideRun, steps: each } of detection) {
      const parts = Object.entries(each).map(
        ([step, { ms, share }]) => `${step} ${Number(ms).toFixed(2)} (${(100 * share).toFixed(1)} %)`,
      );
      console.log(`${width} x ${height}: ${parts.join(', ')}`);
      console.log(
        `  all but the run: ${(100 * besideRun).toFixed(1)} %; detect() takes ${whole.toFixed(2)}, one of ${together} together ${amongOthers.toFixed(2)}`,
      );
    }
    console.log('non-maximum suppression of 10,000 boxes, ms');
    for (const { scene, classes, kept, median: middle, min } of suppression) {
      console.log(
        `${scene.padEnd(10)} ${String(classes).padStart(2)} classes: ${middle.toFixed(2)}, min ${min.toFixed(2)}; ${kept} kept`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
