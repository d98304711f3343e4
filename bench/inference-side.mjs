// A side of onnxruntime.mjs: one engine in a process of its own. Started with the engine's name, 'qarepvgg', 'onnxruntime'
// or 'tfjs'; engines that are not asked for are not loaded. Requests:
//
// create  { file, threads, algorithm? }   a session from a file, instead of the one before; replies { ms }
// load    { input, dims }                 images to run on: a file of float32, [n, c, h, w]
// check   { output }                      runs once, writes the result to a file
// time    { runs }                        one run after the other; replies { ms: [of each] }
// delay   { runs }                        the same; replies { p99, max }, the event loop's delay in ms
// queue   { count }                       that many runs of the first image, asked for at once; replies { ms } until all are done
// peak    { precision, threads }          qarepvgg only; replies { gigaops } per second of multiply-adds in registers
// memory  {}                              replies { peakMiB } of the process so far

import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { engines } from './lib/engines.mjs';
import { product, readFloats, timed } from './lib/numbers.mjs';
import { memory, peak } from './lib/requests.mjs';
import { answer } from './lib/server.mjs';

const engine = await engines[String(process.argv[2])]?.();
if (!engine) throw new Error(`expected ${Object.keys(engines).join(' or ')}, received ${process.argv[2]}`);

/** @type {import('./lib/engines.mjs').Session | undefined} */
let session;
/** @type {Float32Array} */
let data = new Float32Array();
/** @type {number[]} */
let dims = [];

/** @param {Float32Array} images @param {number[]} imageDims */
async function run(images = data, imageDims = dims) {
  if (!session) throw new Error('expected create before run');
  return session.run(images, imageDims);
}

await answer({
  /** @param {import('./lib/engines.mjs').Setup} setup */
  async create(setup) {
    await session?.close();
    const [ms, made] = await timed(() => engine.create(setup));
    session = made;
    return { ms };
  },

  /** @param {{ input: string, dims: number[] }} request */
  load(request) {
    data = readFloats(request.input);
    dims = request.dims;
  },

  /** @param {{ output: string }} request */
  async check({ output }) {
    writeFileSync(output, await run());
  },

  /** @param {{ runs: number }} request */
  async time({ runs }) {
    const ms = [];
    for (let i = 0; i < runs; i++) ms.push((await timed(() => run()))[0]);
    return { ms };
  },

  /** @param {{ runs: number }} request */
  async delay({ runs }) {
    const histogram = monitorEventLoopDelay({ resolution: 1 });
    histogram.enable();
    for (let i = 0; i < runs; i++) await run();
    histogram.disable();
    return { p99: histogram.percentile(99) / 1e6, max: histogram.max / 1e6 };
  },

  /** @param {{ count: number }} request */
  async queue({ count }) {
    const one = [1, ...dims.slice(1)];
    const image = data.slice(0, product(one));
    const [ms] = await timed(() => Promise.all(Array.from({ length: count }, () => run(image, one))));
    return { ms };
  },

  peak,
  memory,
});
await session?.close();
