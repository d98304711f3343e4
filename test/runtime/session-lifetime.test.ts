import { getEventListeners } from 'node:events';
import path from 'node:path';
import { createModel, type Fetches, InferenceSession, QARepVGGError, randn, saveModel } from '../../lib';
import { runScript } from '../support/child';
import { bits } from '../support/compare';
import { temporaryFolder } from '../support/formats';
import { deployNetwork } from '../support/networks';
import { expectRefusal, expectRejection } from '../support/refusal';

const network = deployNetwork('qarepvgg_b1g4');
const x = randn([1, 3, 32, 32]);
/** Takes long enough that what follows it waits. */
const large = randn([8, 3, 160, 160]);

const file = path.join(temporaryFolder(), 'deploy.safetensors');

let session: InferenceSession;
let right: string;
beforeEach(async () => {
  session = await InferenceSession.create(network);
  right = bits(session.runSync({ input: x }).logits);
});
afterEach(() => session.dispose());

async function outcome(run: Promise<Fetches>): Promise<string> {
  try {
    return bits((await run).logits);
  } catch (error) {
    return error instanceof QARepVGGError ? error.code : String(error);
  }
}

describe('abort', () => {
  test('before: rejects at once, the images are not even looked at', async () => {
    const signal = AbortSignal.abort('too late');
    const run = session.run({ input: { data: null, dims: null } as never }, { signal });
    await expect(run).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: 'too late' });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('by a getter of the input', async () => {
    const controller = new AbortController();
    const input = {
      dims: x.dims,
      get data() {
        controller.abort();
        return x.data;
      },
    };
    expect(await outcome(session.run({ input }, { signal: controller.signal }))).toBe('ERR_ABORTED');
  });

  test('while waiting: never computed, the others are', async () => {
    // Bytes: quick to hand over, and a third of a second of work.
    const slow = await InferenceSession.create(createModel('qarepvgg_a0').eval().reparameterize());
    const input = { data: new Uint8Array(8 * 224 * 224 * 3), dims: [8, 224, 224, 3] };
    let done = 0;
    const before = Array.from({ length: 8 }, () => slow.run({ input }).then(() => done++));
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = Array.from({ length: 20 }, () => outcome(session.run({ input: x }, { signal })));
    const others = Array.from({ length: 5 }, () => outcome(session.run({ input: x })));
    controller.abort(new Error('changed my mind'));
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['ERR_ABORTED']));
    // They did not wait for those before them.
    expect(done).toBeLessThan(before.length);
    expect(new Set(await Promise.all(others))).toEqual(new Set([right]));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    slow.dispose();
  });

  test('while it runs: stops early, and the next run is right', async () => {
    const huge = randn([64, 3, 160, 160]);
    const fastest = { whole: Number.POSITIVE_INFINITY, aborted: Number.POSITIVE_INFINITY };
    for (let i = 0; i < 4; i++) {
      let start = performance.now();
      await session.run({ input: huge });
      fastest.whole = Math.min(fastest.whole, performance.now() - start);

      const controller = new AbortController();
      const run = outcome(session.run({ input: huge }, { signal: controller.signal }));
      // The images are copied and nothing else is in the queue: after a moment, the run has begun.
      await new Promise((resolve) => setTimeout(resolve, 2));
      start = performance.now();
      controller.abort();
      // On a busy machine it may be done already.
      if ((await run) === 'ERR_ABORTED') fastest.aborted = Math.min(fastest.aborted, performance.now() - start);
      expect(await outcome(session.run({ input: x }))).toBe(right);
    }
    expect(fastest.aborted).toBeLessThan(fastest.whole / 2);
  });

  test('afterwards: nothing happens, and no listener is left', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    expect(await outcome(session.run({ input: x }, { signal }))).toBe(right);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    controller.abort();
    await expectRejection(session.run({ input: x }, { signal }), 'ERR_ABORTED', 'aborted');
    expect(await outcome(session.run({ input: x }))).toBe(right);
  });

  test('by a signal that cannot be listened to: refused, and nothing stays pending', async () => {
    const cause = new Error('no listeners');
    const signal = {
      aborted: false,
      reason: undefined,
      removeEventListener: () => undefined,
      addEventListener: () => {
        throw cause;
      },
    } as unknown as AbortSignal;
    const run = session.run({ input: large }, { signal });
    await expect(run).rejects.toMatchObject({ code: 'ERR_INVALID_ARG', cause });
    expect(await outcome(session.run({ input: x }))).toBe(right);
  });

  test('one signal for many runs is listened to once', async () => {
    const { signal } = new AbortController();
    const runs = Array.from({ length: 30 }, () => outcome(session.run({ input: x }, { signal })));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    expect(new Set(await Promise.all(runs))).toEqual(new Set([right]));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('at any time, among others', async () => {
    const runs = Array.from({ length: 60 }, (_, i) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), i % 7);
      return outcome(session.run({ input: i % 5 ? x : large }, i % 2 ? { signal: controller.signal } : {}));
    });
    const outcomes = await Promise.all(runs);
    const small = outcomes.filter((_, i) => i % 5);
    expect(small.every((result) => result === right || result === 'ERR_ABORTED')).toBe(true);
    expect(outcomes.every((result, i) => i % 2 || result !== 'ERR_ABORTED')).toBe(true);
    expect(await outcome(session.run({ input: x }))).toBe(right);
  });
});

describe('dispose', () => {
  test('after use, again, in flight', async () => {
    const pending = Array.from({ length: 10 }, () => outcome(session.run({ input: x })));
    session.dispose();
    session.dispose();
    await expectRejection(session.run({ input: x }), 'ERR_DISPOSED', 'disposed');
    expectRefusal(() => session.runSync({ input: x }), 'ERR_DISPOSED', 'disposed');
    expectRefusal(() => session.memoryUsage(), 'ERR_DISPOSED', 'disposed');
    expect(new Set(await Promise.all(pending))).toEqual(new Set([right]));
    session.dispose();
  });

  test('in a callback of its own run, and with an abort', async () => {
    const rightLarge = bits(session.runSync({ input: large }).logits);
    const controller = new AbortController();
    const first = session.run({ input: x }).then(({ logits }) => {
      session.dispose();
      return bits(logits);
    });
    const second = outcome(session.run({ input: large }, { signal: controller.signal }));
    expect(await first).toBe(right);
    controller.abort();
    expect(['ERR_ABORTED', rightLarge]).toContain(await second);
    await expectRejection(session.run({ input: x }), 'ERR_DISPOSED', 'disposed');
  });

  test('by the symbols of the language; the asynchronous one waits', async () => {
    const pending = session.run({ input: large });
    let isDone = false;
    void pending.then(() => {
      isDone = true;
    });
    await session[Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]();
    expect(isDone).toBe(true);

    const other = await InferenceSession.create(network);
    other[Symbol.dispose ?? Symbol.for('nodejs.dispose')]();
    expectRefusal(() => other.runSync({ input: x }), 'ERR_DISPOSED', 'disposed');
  });

  test('two sessions do not share a fate', async () => {
    const other = await InferenceSession.create(network, { algorithm: 'gemm' });
    const pending = outcome(session.run({ input: x }));
    other.dispose();
    expect(await pending).toBe(right);
    expect(await outcome(session.run({ input: x }))).toBe(right);
  });
});

test('a thousand runs at once', async () => {
  const results = await Promise.all(Array.from({ length: 1000 }, () => outcome(session.run({ input: x }))));
  expect(new Set(results)).toEqual(new Set([right]));
});

test('runs of many sizes and sessions at once', async () => {
  const sessions = [session, await InferenceSession.create(network, { threads: 3 }), session];
  const inputs = [x, large, randn([3, 3, 20, 50]), randn([2, 3, 64, 8])];
  const expected = inputs.map((input) => bits(session.runSync({ input }).logits));
  const runs = Array.from({ length: 48 }, (_, i) => {
    return outcome((sessions[i % 3] as InferenceSession).run({ input: inputs[i % 4] as typeof x }));
  });
  expect(await Promise.all(runs)).toEqual(Array.from({ length: 48 }, (_, i) => expected[i % 4]));
  sessions[1]?.dispose();
});

describe('on the wrong object', () => {
  test.each(['run', 'runSync', 'memoryUsage', 'stats', 'dispose'] as const)('%s', async (method) => {
    for (const thing of [undefined, {}, Object.create(session), InferenceSession.prototype, network]) {
      const call = async () => (session[method] as (...args: unknown[]) => unknown).call(thing, { input: x });
      await expectRejection(call(), 'ERR_INVALID_ARG', 'InferenceSession.create');
    }
  });

  test('new, without create', () => {
    const Session = InferenceSession as unknown as new () => unknown;
    expectRefusal(() => new Session(), 'ERR_INVALID_ARG', 'InferenceSession.create');
  });
});

describe('in worker threads', () => {
  /** The addon is loaded in workers only: a worker's exit would unload it. */
  const prelude = `
    const { Worker } = require('node:worker_threads');
    const { once } = require('node:events');
    const start = (body, workerData) => new Worker(\`
      const { parentPort, workerData } = require('node:worker_threads');
      const { createModel, InferenceSession, randn } = require(process.cwd());
      const model = createModel('qarepvgg_a0', { channels: [16, 16, 32, 48, 64], blocks: [1, 2, 2, 1], inputSize: 64 });
      const creating = InferenceSession.create(model.reparameterize());
      const x = randn([4, 3, 64, 64]);
      (async () => { const session = await creating; \${body} })();\`, { eval: true, workerData });
  `;

  function expectSurvival(script: string): void {
    const { stdout, stderr, status, signal } = runScript(prelude + script);
    expect({ stdout, stderr, status, signal }).toEqual({ stdout: 'alive\n', stderr: '', status: 0, signal: null });
  }

  test('several at once, all with the same results', () => {
    expectSurvival(`(async () => {
      const body = \`
        const results = new Set();
        for (let i = 0; i < 10; i++) {
          results.add(session.runSync({ input: x }).logits.data.join());
          for (const { logits } of await Promise.all([1, 2, 3].map(() => session.run({ input: x }))))
            results.add(logits.data.join());
        }
        parentPort.postMessage([...results]);\`;
      const lists = await Promise.all([1, 2, 3, 4].map(async () => (await once(start(body), 'message'))[0]));
      const results = new Set(lists.flat());
      console.log(results.size === 1 ? 'alive' : 'results differ');
    })();`);
  });

  test('terminated with runs that wait and runs that compute', () => {
    expectSurvival(`(async () => {
      const body = \`
        const busy = () => { for (let i = 0; i < 6; i++) void session.run({ input: x }); };
        busy();
        parentPort.postMessage('busy');
        workerData.sync ? (() => { for (;;) session.runSync({ input: x }); })() : setInterval(busy, 1);\`;
      for (let i = 0; i < 12; i++) {
        const worker = start(body, { sync: i % 3 === 2 });
        await once(worker, 'message');
        await new Promise((resolve) => setTimeout(resolve, (i * 7) % 31));
        await worker.terminate();
      }
      console.log('alive');
    })();`);
  });

  test('terminated with runs in the queue: they are not computed', () => {
    expectSurvival(`(async () => {
      const body = \`
        (async () => {
          const began = performance.now();
          for (let i = 0; i < 8; i++) await session.run({ input: x });
          for (let i = 0; i < 4000; i++) void session.run({ input: x });
          parentPort.postMessage((performance.now() - began) / 8);
          setInterval(() => {}, 1000);
        })();\`;
      const worker = start(body, {});
      const [milliseconds] = await once(worker, 'message');
      await worker.terminate();
      const { Conv2d, InferenceSession, randn } = require('.');
      const session = await InferenceSession.create(new Conv2d({ inChannels: 1, outChannels: 1 }));
      const began = performance.now();
      await session.run({ input: randn([1, 1, 4, 4]) });
      const share = (performance.now() - began) / (4000 * milliseconds);
      console.log(share < 0.2 ? 'alive' : share);
    })();`);
  });

  test("terminated while sessions are made of a file, whose weights are the worker's", async () => {
    const model = createModel('qarepvgg_a0', { channels: [16, 16, 32, 48, 1024], blocks: [1, 1, 1, 2], inputSize: 64 });
    await saveModel(model.reparameterize(), file);
    expectSurvival(`(async () => {
      const body = \`
        parentPort.postMessage('making');
        for (;;) (await InferenceSession.create(workerData)).dispose();\`;
      // The makings wait for the runs of another worker. More than 32 MiB: memory that is freed is gone at once.
      const other = start('const large = randn([32, 3, 160, 160]); for (;;) await session.run({ input: large });');
      for (let i = 0; i < 12; i++) {
        const worker = start(body, ${JSON.stringify(file)});
        await once(worker, 'message');
        await new Promise((resolve) => setTimeout(resolve, 40 + i * 10));
        await worker.terminate();
      }
      await other.terminate();
      console.log('alive');
    })();`);
  });
});

describe('a process that ends in mid-operation', () => {
  const busy = `
    const { createModel, InferenceSession, randn } = require('.');
    (async () => {
      const model = createModel('qarepvgg_a0', { channels: [16, 16, 32, 48, 64], inputSize: 64 });
      const session = await InferenceSession.create(model.reparameterize());
      for (let i = 0; i < 20; i++) void session.run({ input: randn([4, 3, 64, 64]) });
  `;

  test.each([
    ['process.exit', 'setTimeout(() => process.exit(3), 5);', 3, null],
    ['an uncaught exception', 'setTimeout(() => { throw new Error("on purpose"); }, 5);', 1, null],
    ['SIGTERM', 'setTimeout(() => process.kill(process.pid, "SIGTERM"), 5);', null, 'SIGTERM'],
    ['the end of the script, which waits', '', 0, null],
  ])('%s', (_, end, status, signal) => {
    expect(runScript(`${busy} ${end} })();`)).toMatchObject({ status, signal });
  });
});
