// npm run check:lifetime -- [workers] [exits]: the addon in threads and processes that come to an end. Linux.
//   - workers (default 200) that load the addon, which the main thread never does, compute and exit;
//   - as many that are terminated at a random moment while they compute;
//   - processes (default 50) that call process.exit at a random moment while they compute.
// Prints a line for each; exit code 1 where a worker or a process ends otherwise than it was told to, or where threads or
// memory do not come back to what they were after the first tenth.

import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const self = fileURLToPath(import.meta.url);
/** What V8 keeps of the heaps of workers goes up and down by some MiB; a leak of 100 KiB per worker gives twice this. */
const maxGrowthMiB = 10;
const longest = 40; // ms until a worker or a process ends
const exitCode = 3;

/** Sessions that always have work, one with results that are written into arrays of JavaScript, and a first result. */
async function compute() {
  const { Conv2d, createModel, InferenceSession, randn } = await import('qarepvgg');
  const model = createModel('qarepvgg_a0', { channels: [16, 16, 32, 48, 64], blocks: [1, 2, 2, 1], inputSize: 64 });
  const session = await InferenceSession.create(model.reparameterize());
  const input = randn([4, 3, 64, 64]);
  const wide = await InferenceSession.create(new Conv2d({ inChannels: 3, outChannels: 32 }));
  const first = await session.run({ input });
  await wide.run({ input });
  const start = () => {
    void session.run({ input });
    void wide.run({ input });
  };
  return { first, goOn: () => setInterval(start, 1) };
}

/** Threads and resident memory of this process, once what has ended is gone. */
async function usage() {
  globalThis.gc?.();
  await sleep(200);
  const status = readFileSync('/proc/self/status', 'utf8');
  const of = (/** @type {string} */ name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  return { threads: of('Threads'), mebibytes: of('VmRSS') / 1024 };
}

/** @param {'exit' | 'terminate'} end */
async function worker(end) {
  const one = new Worker(self, { workerData: end });
  const exited = once(one, 'exit');
  await once(one, 'message');
  if (end === 'terminate') {
    await sleep(Math.random() * longest);
    await one.terminate();
  }
  const [code] = await exited;
  return code === (end === 'exit' ? 0 : 1);
}

/** In a process of its own: one worker after the other. @param {'exit' | 'terminate'} end @param {number} count */
async function manyWorkers(end, count) {
  for (let i = 0; i < count / 10; i++) await worker(end);
  const before = await usage();
  let wrong = 0;
  for (let i = 0; i < count; i++) wrong += (await worker(end)) ? 0 : 1;
  const after = await usage();
  process.send?.({ wrong, threads: after.threads - before.threads, growthMiB: after.mebibytes - before.mebibytes });
}

async function main() {
  const [workers = 200, exits = 50] = process.argv.slice(2).map(Number);
  for (const end of ['exit', 'terminate']) {
    const child = fork(self, ['--workers', end, String(workers)], { execArgv: ['--expose-gc'] });
    const message = once(child, 'message').then(([value]) => value);
    const [code, signal] = await once(child, 'exit');
    const result = code === 0 ? await message : { wrong: `the process ended with ${code ?? signal}` };
    report(`${workers} workers, ${end}`, result);
  }
  let wrong = 0;
  for (let i = 0; i < exits; i++) {
    const { status } = spawnSync(process.execPath, [self, '--exit'], { stdio: 'inherit' });
    wrong += status === exitCode ? 0 : 1;
  }
  report(`${exits} processes, process.exit`, { wrong });
}

/** @param {string} what @param {{ wrong: number | string, threads?: number, growthMiB?: number }} result */
function report(what, { wrong, threads = 0, growthMiB = 0 }) {
  const ok = wrong === 0 && threads <= 0 && growthMiB <= maxGrowthMiB;
  if (!ok) process.exitCode = 1;
  console.log(
    `${ok ? 'ok  ' : 'FAIL'} ${what}: ended otherwise ${wrong}, threads ${threads}, memory ${growthMiB.toFixed(1)} MiB ` +
      `(at most ${maxGrowthMiB})`,
  );
}

const [mode, end, count] = process.argv.slice(2);
if (!isMainThread) {
  const { goOn } = await compute();
  if (workerData === 'terminate') goOn();
  parentPort?.postMessage('ready');
} else if (mode === '--workers') {
  process.once('disconnect', () => process.exit());
  await manyWorkers(/** @type {'exit' | 'terminate'} */ (end), Number(count));
  process.disconnect();
} else if (mode === '--exit') {
  const { goOn } = await compute();
  goOn();
  setTimeout(() => process.exit(exitCode), Math.random() * longest);
} else {
  await main();
}
