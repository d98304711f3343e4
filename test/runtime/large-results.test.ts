// Results of 64 KiB and more are written into the arrays that the promise resolves to.
import { Conv2d, type Fetches, InferenceSession, randn, type Tensor } from '../../lib';
import { runNode, runScript } from '../support/child';
import { bits } from '../support/compare';

const sharp = new Conv2d({ inChannels: 1, outChannels: 4, kernelSize: 3, padding: 1, seed: 3 });
/** Results are 16 times the square of the side, in bytes. */
const ofSide = (side: number) => randn([1, 1, side, side], { seed: side });

let session: InferenceSession;
beforeEach(async () => {
  session = await InferenceSession.create(sharp);
});
afterEach(() => session.dispose());

const logitsOf = async (run: Promise<Fetches>): Promise<Tensor> => (await run).logits as Tensor;

test.each([1, 63, 64, 65, 400])('side %i: the bits of runSync, in an array of their own', async (side) => {
  const input = ofSide(side);
  const right = bits(session.runSync({ input }).logits as Tensor);
  const results = await Promise.all([1, 2, 3].map(() => logitsOf(session.run({ input }))));
  await session.run({ input: ofSide(side + 1) });
  expect(results.map((result) => bits(result))).toEqual([right, right, right]);
  expect(new Set(results.map(({ data }) => data.buffer)).size).toBe(3);
  for (const { data } of results) expect([data.byteOffset, data.buffer.byteLength]).toEqual([0, 16 * side * side]);
});

test('can be transferred, and stay valid after the session', async () => {
  const input = ofSide(300);
  const right = bits(session.runSync({ input }).logits as Tensor);
  const { data, dims } = await logitsOf(session.run({ input }));
  const moved = structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
  expect(data).toHaveLength(0);
  for (let i = 0; i < 10; i++) await session.run({ input: ofSide(300 + i) });
  session.dispose();
  expect(bits({ data: moved, dims } as Tensor)).toBe(right);
});

test('an aborted run leaves the next one right', async () => {
  const input = ofSide(300);
  const right = bits(session.runSync({ input }).logits as Tensor);
  for (let i = 0; i < 10; i++) {
    const controller = new AbortController();
    // It may be done already.
    const aborted = session.run({ input }, { signal: controller.signal }).catch(() => undefined);
    const next = logitsOf(session.run({ input }));
    controller.abort();
    expect(bits(await next)).toBe(right);
    await aborted;
  }
});

/** The built package in a process of its own. */
const prelude = `
  const { Conv2d, InferenceSession, randn } = require('.');
  const conv = new Conv2d({ inChannels: 1, outChannels: 16, kernelSize: 3, padding: 1, seed: 3 });`;

test('setters of Array.prototype do not get arrays that are being written', () => {
  const script = `${prelude}
    (async () => {
      const session = await InferenceSession.create(conv);
      const input = randn([1, 1, 64, 64]); // results of 256 KiB
      const seen = new Set();
      Object.defineProperty(Array.prototype, '0', { set: (value) => seen.add(value), configurable: true });
      const run = session.run({ input });
      delete Array.prototype[0];
      await run.catch(() => {}); // other lists lack their elements
      console.log([...seen].filter((value) => value.byteLength === 2 ** 18).length);
    })();`;
  const { stdout, stderr, status } = runScript(script);
  expect({ stdout, stderr, status }).toEqual({ stdout: '0\n', stderr: '', status: 0 });
});

test('survive garbage collections while they are being written, and are freed afterwards', () => {
  const script = `${prelude}
    (async () => {
      const session = await InferenceSession.create(conv);
      const input = randn([1, 1, 256, 256], { seed: 1 }); // results of 4 MiB
      const right = Buffer.from(session.runSync({ input }).logits.data.buffer);
      let isRight = true;
      const rounds = async (count) => {
        for (let i = 0; i < count; i++) {
          const controller = new AbortController();
          const { signal } = controller;
          const runs = [{}, {}, { signal }, {}].map((options) => session.run({ input }, options));
          gc();
          controller.abort();
          for (const { value } of await Promise.allSettled(runs))
            if (value) isRight &&= right.equals(Buffer.from(value.logits.data.buffer));
        }
        for (let i = 0; i < 4; i++) {
          gc();
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        const { rss, arrayBuffers } = process.memoryUsage();
        return [rss, arrayBuffers].map((bytes) => bytes / 2 ** 20);
      };
      const before = await rounds(20);
      const after = await rounds(60); // 960 MiB
      console.log(JSON.stringify([isRight, ...after.map((mebibytes, i) => mebibytes - before[i])]));
    })();`;
  const { stdout, stderr, status } = runNode(['--expose-gc', '-e', script]);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  const [isRight, resident, buffers] = JSON.parse(stdout) as [boolean, number, number];
  expect(isRight).toBe(true);
  expect(resident).toBeLessThan(40);
  expect(buffers).toBeLessThan(16); // of 960: some of the last are still in use
});

test('a worker that is terminated while they are being written', () => {
  // 64 MiB: memory that is freed is gone at once.
  const script = `
    const { Worker } = require('node:worker_threads');
    const { once } = require('node:events');
    const body = \`
      ${prelude.replaceAll("require('.')", 'require(process.cwd())')}
      const { parentPort } = require('node:worker_threads');
      (async () => {
        const session = await InferenceSession.create(conv);
        const input = randn([1, 1, 1024, 1024]);
        await session.run({ input });
        parentPort.postMessage('ready');
        for (;;) await Promise.all([session.run({ input }), session.run({ input })]);
      })();\`;
    (async () => {
      for (let i = 0; i < 12; i++) {
        const worker = new Worker(body, { eval: true });
        await once(worker, 'message');
        await new Promise((resolve) => setTimeout(resolve, (i * 7) % 31));
        await worker.terminate();
      }
      console.log('alive');
    })();`;
  const { stdout, stderr, status, signal } = runScript(script);
  expect({ stdout, stderr, status, signal }).toEqual({ stdout: 'alive\n', stderr: '', status: 0, signal: null });
});
