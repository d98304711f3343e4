// A side of busy.mjs: one engine in a process of its own, and what disturbs it there. Started with the engine's name,
// 'qarepvgg' or 'onnxruntime'. Requests:
//
// create   { file, threads }              a session from a file, instead of the one before
// load     { input, dims }                images to run on: a file of float32, [n, c, h, w]
// train    { threads }                    a small training, instead of a session
// check    { output }                     runs once, writes the result to a file: logits, or losses of some steps
// disturb  { by, file }                   what goes on in the process while `time` and `delay` measure, or nothing
// time     { seconds }                    one run after the other; replies { ms: [of each], team }
// delay    { seconds }                    the same; replies { p99 }, the event loop's delay in ms
// peak     { precision, threads }         qarepvgg only; replies { gigaops } per second of multiply-adds in registers

import { writeFileSync } from 'node:fs';
import { disturbances } from './lib/disturbances.mjs';
import { engines } from './lib/engines.mjs';
import { LoopDelay } from './lib/loop-delay.mjs';
import { readFloats, timed } from './lib/numbers.mjs';
import { peak } from './lib/requests.mjs';
import { answer } from './lib/server.mjs';
import { smallTraining } from './lib/training.mjs';

const name = String(process.argv[2]);
const engine = await engines[name]?.();
if (!engine) throw new Error(`expected ${Object.keys(engines).join(' or ')}, received ${name}`);

/** What is measured. @type {(() => Promise<Float32Array>) | undefined} */
let work;
/** @type {import('./lib/engines.mjs').Session | undefined} */
let session;
/** @type {import('./lib/disturbances.mjs').Disturbance | undefined} */
let disturbance;
/** @type {Float32Array} */
let first = new Float32Array();

async function run() {
  if (!work) throw new Error('expected create and load, or train, before run');
  return work();
}

/** Runs for so long, at least three times. @param {number} seconds @param {LoopDelay} [delay] to watch the runs with */
async function runFor(seconds, delay) {
  const ms = [];
  await disturbance?.start();
  try {
    for (const end = performance.now() + 1000 * seconds; performance.now() < end || ms.length < 3; ) {
      await disturbance?.between?.();
      delay?.start();
      ms.push((await timed(run))[0]);
      delay?.stop();
    }
  } finally {
    await disturbance?.stop();
  }
  return ms;
}

await answer({
  /** @param {import('./lib/engines.mjs').Setup} setup */
  async create(setup) {
    await session?.close();
    session = await engine.create(setup);
  },

  /** @param {{ input: string, dims: number[] }} request */
  load({ input, dims }) {
    const data = readFloats(input);
    const current = session;
    if (!current) throw new Error('expected create before load');
    work = () => current.run(data, dims);
  },

  /** @param {{ threads: number }} request */
  async train({ threads }) {
    ({ losses: first, step: work } = await smallTraining(threads));
  },

  /** @param {{ output: string }} request */
  async check({ output }) {
    writeFileSync(output, first.length > 0 ? first : await run());
  },

  /** @param {{ by?: keyof typeof disturbances, file: string, threads: number }} request */
  async disturb({ by, ...setup }) {
    await disturbance?.close?.();
    disturbance = by && (await disturbances[by](setup));
  },

  /** @param {{ seconds: number }} request */
  async time({ seconds }) {
    const ms = await runFor(seconds);
    return { ms, team: engine.teamSize?.() };
  },

  /** @param {{ seconds: number }} request */
  async delay({ seconds }) {
    const delay = new LoopDelay();
    await runFor(seconds, delay);
    return { p99: delay.p99 };
  },

  peak,
});
await disturbance?.close?.();
await session?.close();
