// A side of the comparison of networks: one engine in a process of its own, 'qarepvgg' or 'onnxruntime'. Requests:
//
// create  { file, threads, algorithm?, inputs }   a session from a file, for inputs of these dims by name; replies { ms }
// load    { feeds: [{ name, dims, file }] }        what to run on: files of float32
// check   { output }                              runs once, writes the numbers of all outputs to a file, sorted by name
// time    { runs }                                one run after the other; replies { ms: [of each] }
// peak    { precision, threads }                  qarepvgg only; replies { gigaops } per second of multiply-adds in registers
// memory  {}                                      replies { peakMiB } of the process so far

import { writeFileSync } from 'node:fs';
import { readFloats, timed } from './lib/numbers.mjs';
import { ortOptions } from './lib/ort-options.mjs';
import { memory, peak } from './lib/requests.mjs';
import { answer } from './lib/server.mjs';

/**
 * @typedef {{ name: string, dims: number[], data: Float32Array }} Feed
 * @typedef {{ file: string, threads: number, algorithm?: 'auto' | 'gemm', inputs: Record<string, number[]> }} Setup
 * @typedef {{ run(feeds: readonly Feed[]): Promise<Record<string, { data: unknown }>>, close(): void | Promise<void> }} Session
 */

/** @type {Record<string, () => Promise<(setup: Setup) => Promise<Session>>>} */
const engines = {
  async qarepvgg() {
    const { InferenceSession } = await import('qarepvgg');
    return async ({ file, threads, algorithm = 'auto', inputs }) => {
      const session = await InferenceSession.create(file, { threads, algorithm, inputs });
      const run = (/** @type {readonly Feed[]} */ feeds) =>
        session.run(/** @type {any} */ (Object.fromEntries(feeds.map(({ name, ...feed }) => [name, feed]))));
      return { run: /** @type {Session['run']} */ (run), close: () => session.dispose() };
    };
  },

  async onnxruntime() {
    const { default: ort } = await import('onnxruntime-node');
    return async ({ file, threads }) => {
      const session = await ort.InferenceSession.create(file, { ...ortOptions(threads), logSeverityLevel: 3 });
      return {
        run: (feeds) =>
          session.run(
            Object.fromEntries(feeds.map(({ name, data, dims }) => [name, new ort.Tensor('float32', data, dims)])),
          ),
        close: () => session.release(),
      };
    };
  },
};

const create = await engines[String(process.argv[2])]?.();
if (!create) throw new Error(`expected ${Object.keys(engines).join(' or ')}, received ${process.argv[2]}`);

/** @type {Session | undefined} */
let session;
/** @type {Feed[]} */
let loaded = [];

async function run() {
  if (!session) throw new Error('expected create before run');
  return session.run(loaded);
}

await answer({
  /** @param {Setup} setup */
  async create(setup) {
    await session?.close();
    const [ms, made] = await timed(() => create(setup));
    session = made;
    return { ms };
  },

  /** @param {{ feeds: { name: string, dims: number[], file: string }[] }} request */
  load({ feeds }) {
    loaded = feeds.map(({ name, dims, file }) => ({ name, dims, data: readFloats(file) }));
  },

  /** @param {{ output: string }} request */
  async check({ output }) {
    const outputs = Object.entries(await run()).sort(([a], [b]) => (a < b ? -1 : 1));
    const numbers = outputs.flatMap(([, { data }]) => [Buffer.from(/** @type {Float32Array} */ (data).buffer)]);
    writeFileSync(output, Buffer.concat(numbers));
  },

  /** @param {{ runs: number }} request */
  async time({ runs }) {
    const ms = [];
    for (let i = 0; i < runs; i++) ms.push((await timed(run))[0]);
    return { ms };
  },

  peak,
  memory,
});
await session?.close();
