// npm run check:queue -- [jobs]: workers of examples/queue on a redis-server of their own (Debian: apt-get install redis-server).
// Three processes share a queue of 500 jobs, twice. At first nothing happens to them: no job may stall. Then one is ended with
// SIGKILL in the midst of its jobs: all jobs must be done, none of them lost or failed, and each result must be that of a session
// in this process.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Queue, QueueEvents } from 'bullmq';
import { createModel, InferenceSession, saveModel } from 'qarepvgg';
import { connectionTo, queueName, toBase64 } from '../examples/queue/queue.mjs';
import { end, firstLine, freePort, start, until } from './lib/children.mjs';

const count = Number(process.argv[2] ?? 500);
const side = 96;
const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-queue-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

// Slow enough that a process dies in the midst of jobs.
const model = createModel('qarepvgg_a0', { numClasses: 10, inputSize: side }).reparameterize();
const file = join(folder, 'model.safetensors');
await saveModel(model, file);

const port = await freePort();
const redis = start('redis-server', ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', folder]);
await firstLine(redis);
const REDIS_URL = `redis://127.0.0.1:${port}`;
const queue = new Queue(queueName, { connection: connectionTo(REDIS_URL) });
const events = new QueueEvents(queueName, { connection: connectionTo(REDIS_URL) });
queue.setMaxListeners(0); // each job that is waited for listens
await queue.waitUntilReady();
await events.waitUntilReady();

/** @param {number} i */
function pixelsOf(i) {
  return Uint8Array.from({ length: side * side * 3 }, (_, at) => (at * (i + 1) + i) % 251);
}

async function startWorkers() {
  const workers = Array.from({ length: 3 }, () =>
    start(process.execPath, ['examples/queue/worker.mjs', file], { REDIS_URL, QAREPVGG_NUM_THREADS: '1' }),
  );
  await Promise.all(workers.map(firstLine));
  return workers;
}

/** The scores of all images, from one run of the queue. @param {(done: () => number) => Promise<unknown>} meanwhile */
async function runJobs(meanwhile) {
  let done = 0;
  let stalled = 0;
  const onDone = () => done++;
  const onStalled = () => stalled++;
  events.on('completed', onDone).on('stalled', onStalled);
  const added = Array.from({ length: count }, (_, i) => ({
    name: 'image',
    data: { pixels: toBase64(pixelsOf(i)), dims: [1, side, side, 3] },
  }));
  const jobs = await queue.addBulk(added);
  const finished = Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
  await meanwhile(() => done);
  const results = await finished;
  const { failed, completed } = await queue.getJobCounts('failed', 'completed');
  events.off('completed', onDone).off('stalled', onStalled);
  await queue.obliterate({ force: true });
  return { scores: results.map(({ scores }) => scores[0]), stalled, failed: Number(failed), completed };
}

const session = await InferenceSession.create(file);
const expected = Array.from({ length: count }, (_, i) => {
  const { data } = session.runSync({ input: { data: pixelsOf(i), dims: [1, side, side, 3] } }).logits;
  return Math.max(...data);
});
session.dispose();
const isRight = (/** @type {number[]} */ scores) => JSON.stringify(scores) === JSON.stringify(expected);

const workers = await startWorkers();
const calm = await runJobs(async () => undefined);
const killed = await runJobs(async (done) => {
  await until('a third of the jobs', () => done() >= count / 3);
  await end(/** @type {import('./lib/children.mjs').Child} */ (workers[0]), 'SIGKILL');
});
const codes = await Promise.all(workers.slice(1).map((worker) => end(worker)));
await events.close();
await queue.close();
await end(redis);

const problems = [
  !isRight(calm.scores) && 'wrong results',
  calm.stalled !== 0 && `${calm.stalled} jobs stalled`,
  !isRight(killed.scores) && 'wrong results after a process was killed',
  killed.stalled === 0 && 'the process that was killed had no jobs',
  killed.completed !== count && `${killed.completed} of ${count} jobs done after a process was killed`,
  calm.failed + killed.failed !== 0 && `${calm.failed + killed.failed} jobs failed`,
  codes.some((code) => code !== 0) && `workers ended with ${codes}`,
].filter(Boolean);
console.log(`${count} jobs twice, 3 processes; 1 killed, of which ${killed.stalled} jobs were taken over by others`);
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);
