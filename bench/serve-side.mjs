// A side of serve.mjs: a server, or an engine without one, in a process of its own. Requests:
//
// serve   { kind, file?, answer? }      'qarepvgg', 'onnxruntime', or 'bare': a Fastify route that reads the body and answers the bytes
//                                       of the file `answer`; replies { port }
// engine  { file, dims }                a session and an image of zeros to run on
// images  { batch, seconds }            that session, one batch after the other; replies { images, perSecond }
// single  { runs }                      one image after the other; replies { ms: [of each] }
// delay   {}                            replies { p99, max } of the event loop's delay in ms since the last request for it; the
//                                       first begins to measure
// cpu     {}                            replies { microseconds } of processor time that this process has taken
// memory  {}                            replies { mebibytes } that are resident

import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fastify } from 'fastify';
import { product, timed } from './lib/numbers.mjs';
import { answer } from './lib/server.mjs';

const delays = monitorEventLoopDelay({ resolution: 1 });
/** @type {import('qarepvgg').InferenceSession | undefined} */
let session;
/** @type {number[]} */
let dims = [];

/** What any Fastify application does with a body that is a tensor. @param {(body: Buffer) => Promise<Uint8Array>} handle */
async function minimalServer(handle) {
  const app = fastify({ bodyLimit: 2 ** 26 });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (/** @type {unknown} */ _request, body, done) =>
    done(null, body),
  );
  app.post('/infer', async (request, reply) => {
    const output = await handle(/** @type {Buffer} */ (request.body));
    return reply
      .type('application/octet-stream')
      .send(Buffer.from(output.buffer, output.byteOffset, output.byteLength));
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { port: Number(new URL(url).port) };
}

/** @type {Record<string, (request: { file: string, answer: string, dims: number[] }) => Promise<{ port: number }>>} */
const servers = {
  async qarepvgg({ file }) {
    const { serve } = await import('qarepvgg/serve');
    const { port } = await serve({ models: { model: file }, port: 0 });
    return { port };
  },

  async bare({ answer }) {
    const bytes = readFileSync(answer);
    return minimalServer(async () => bytes);
  },

  async onnxruntime({ file, dims }) {
    const { default: ort } = await import('onnxruntime-node');
    const { info } = await import('qarepvgg');
    const model = await ort.InferenceSession.create(file, { intraOpNumThreads: info().threads });
    return minimalServer(async (body) => {
      const aligned = new Float32Array(body.buffer.slice(body.byteOffset, body.byteOffset + body.length));
      const { logits } = await model.run({ input: new ort.Tensor('float32', aligned, dims) });
      const { buffer, byteOffset, byteLength } = /** @type {{ data: Float32Array }} */ (logits).data;
      return new Uint8Array(buffer, byteOffset, byteLength);
    });
  },
};

/** @param {number} batch */
function run(batch) {
  const shape = [batch, ...dims.slice(1)];
  return /** @type {NonNullable<typeof session>} */ (session).run({
    input: { data: new Float32Array(product(shape)), dims: shape },
  });
}

await answer({
  /** @param {{ kind: string, file: string, answer: string, dims: number[] }} request */
  async serve(request) {
    return servers[request.kind]?.(request);
  },

  /** @param {{ file: string, dims: number[] }} request */
  async engine(request) {
    const { InferenceSession } = await import('qarepvgg');
    session = await InferenceSession.create(request.file);
    dims = request.dims;
  },

  /** @param {{ batch: number, seconds: number }} request */
  async images({ batch, seconds }) {
    const start = performance.now();
    let images = 0;
    // One waits while the other computes.
    const loop = async () => {
      while (performance.now() - start < seconds * 1000) {
        await run(batch);
        images += batch;
      }
    };
    await Promise.all([loop(), loop()]);
    return { images, perSecond: images / ((performance.now() - start) / 1000) };
  },

  /** @param {{ runs: number }} request */
  async single({ runs }) {
    const ms = [];
    for (let i = 0; i < runs; i++) ms.push((await timed(() => run(1)))[0]);
    return { ms };
  },

  delay() {
    // Not before: it wakes the event loop a thousand times a second.
    delays.enable();
    const result = { p99: delays.percentile(99) / 1e6, max: delays.max / 1e6 };
    delays.reset();
    return result;
  },

  cpu() {
    const { user, system } = process.cpuUsage();
    return { microseconds: user + system };
  },

  memory() {
    return { mebibytes: process.memoryUsage().rss / 2 ** 20 };
  },
});
process.exit();
