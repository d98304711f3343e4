import { runScript } from '../support/child';

/** Runs in the child's main thread, which never loads the addon: a worker's exit then unloads it. */
const prelude = `
  const { Worker } = require('node:worker_threads');
  const { once } = require('node:events');
  const start = (body, workerData) => new Worker(\`
    const { parentPort, workerData } = require('node:worker_threads');
    const { QARepVGGBlock, randn } = require(process.cwd());
    const block = new QARepVGGBlock({ inChannels: 32, outChannels: 32 }).eval();
    const x = randn([1, 32, 32, 32]);
    \${body}\`, { eval: true, workerData });
`;

function expectSurvival(script: string, env: Record<string, string> = {}): void {
  const { stdout, stderr, status, signal } = runScript(prelude + script, env);
  expect({ stdout, stderr, status, signal }).toEqual({ stdout: 'alive\n', stderr: '', status: 0, signal: null });
}

test.each(['1', '3'])('the addon loaded in workers only, one after the other, %s threads', (threads) => {
  expectSurvival(
    `(async () => {
      const outputs = new Set();
      for (let i = 0; i < 20; i++) {
        const worker = start('parentPort.postMessage(block.forward(x).data.slice(0, 100).join());');
        const exited = once(worker, 'exit');
        const [output] = await once(worker, 'message');
        outputs.add(output);
        await exited;
      }
      console.log(outputs.size === 1 ? 'alive' : 'outputs differ');
    })();`,
    { QAREPVGG_NUM_THREADS: threads },
  );
});

test.each(['1', '3'])('workers terminated in mid-operation, %s threads', (threads) => {
  expectSurvival(
    `(async () => {
      const body = \`
        const busy = () => { for (let i = 0; i < 6; i++) void block.forwardAsync(x); };
        busy();
        parentPort.postMessage('busy');
        workerData.sync ? (() => { for (;;) block.forward(x); })() : setInterval(busy, 1);\`;
      for (let i = 0; i < 18; i++) {
        const worker = start(body, { sync: i % 3 === 2 });
        await once(worker, 'message');
        await new Promise((resolve) => setTimeout(resolve, (i * 7) % 31));
        await worker.terminate();
      }
      console.log('alive');
    })();`,
    { QAREPVGG_NUM_THREADS: threads },
  );
});

test('workers at the same time as the main thread, all with the same results', () => {
  expectSurvival(`(async () => {
    const body = \`(async () => {
      const results = new Set();
      for (let i = 0; i < 15; i++) {
        results.add(block.forward(x).data.join());
        results.add((await block.forwardAsync(x)).data.join());
      }
      parentPort.postMessage([...results]);
    })();\`;
    const { QARepVGGBlock, randn } = require('.');
    const block = new QARepVGGBlock({ inChannels: 32, outChannels: 32 }).eval();
    const pending = Array.from({ length: 3 }, () => once(start(body), 'message'));
    const results = new Set();
    for (let i = 0; i < 15; i++) results.add((await block.forwardAsync(randn([1, 32, 32, 32]))).data.join());
    for (const [list] of await Promise.all(pending)) list.forEach((result) => results.add(result));
    console.log(results.size === 1 ? 'alive' : 'results differ');
  })();`);
});

test('a module cannot be posted to a worker, its state can', () => {
  expectSurvival(`(async () => {
    const { QARepVGGBlock, randn } = require('.');
    const block = new QARepVGGBlock({ inChannels: 32, outChannels: 32, seed: 7 }).eval();
    const x = randn([1, 32, 32, 32]);
    const worker = start(\`parentPort.once('message', (state) => {
      block.loadStateDict(state);
      parentPort.postMessage(block.forward(x).data);
    });\`);
    let refused;
    try { worker.postMessage(block); } catch (error) { refused = error.name; }
    worker.postMessage(block.stateDict());
    const [data] = await once(worker, 'message');
    const same = Buffer.from(data.buffer).equals(Buffer.from(block.forward(x).data.buffer));
    console.log(refused === 'DataCloneError' && same ? 'alive' : 'unexpected: ' + refused + ' ' + same);
  })();`);
});

describe('a process that ends in mid-operation', () => {
  const busy = `
    const { QARepVGGBlock, randn } = require('.');
    const block = new QARepVGGBlock({ inChannels: 32, outChannels: 32 }).eval();
    const x = randn([1, 32, 32, 32]);
    for (let i = 0; i < 15; i++) void block.forwardAsync(x);
  `;

  test.each([
    ['process.exit', 'setTimeout(() => process.exit(3), 5);', 3, null],
    ['an uncaught exception', 'setTimeout(() => { throw new Error("on purpose"); }, 5);', 1, null],
    ['SIGTERM', 'setTimeout(() => process.kill(process.pid, "SIGTERM"), 5);', null, 'SIGTERM'],
    ['a callback that throws', 'block.forwardAsync(x).then(() => { throw new Error("on purpose"); });', 1, null],
  ])('%s', (_, end, status, signal) => {
    for (let i = 0; i < 3; i++) expect(runScript(busy + end)).toMatchObject({ status, signal });
  });
});
