// REDIS_URL=redis://127.0.0.1:6379 node examples/queue/worker.mjs [model file]
//
// A worker of a BullMQ queue that classifies the images of jobs; start as many processes as you like, on any number of
// machines. Without a model file, the network that comes with the package answers.
//
// A job is { pixels, dims }: bytes [n, height, width, channels] in base64. Its result is { classes, scores, labels }, of each image.

import { Worker } from 'bullmq';
import { InferenceSession } from 'qarepvgg';
import { connectionTo, fromBase64, queueName } from './queue.mjs';

const [file = new URL('../../models/fashion-mnist.safetensors', import.meta.url)] = process.argv.slice(2);
const session = await InferenceSession.create(file);
const { labels } = session;

/** @param {Float32Array} logits @param {number} images */
function bestClasses(logits, images) {
  const count = logits.length / images;
  return Array.from({ length: images }, (_, i) => {
    const own = logits.subarray(i * count, (i + 1) * count);
    return own.indexOf(Math.max(...own));
  });
}

/** @type {import('bullmq').Processor} */
async function classify(job, _token, signal) {
  const { pixels, dims } = job.data;
  const input = { data: fromBase64(pixels), dims };
  // Computes off this thread: meanwhile BullMQ renews the locks of its jobs, so that none of them stalls.
  const { logits } = await session.run({ input }, signal ? { signal } : {});
  const classes = bestClasses(logits.data, dims[0]);
  const scores = classes.map((index, i) => logits.data[(i * logits.data.length) / dims[0] + index]);
  return { classes, scores, labels: labels && classes.map((index) => labels[index]) };
}

const worker = new Worker(queueName, classify, {
  connection: connectionTo(process.env.REDIS_URL),
  // Jobs at a time: they compute together, one image on each core.
  concurrency: 8,
  // A process that died lets its jobs go after this long, and others take them.
  lockDuration: 5000,
  stalledInterval: 2000,
  // It is machines that fail here, not jobs.
  maxStalledCount: 10,
});
worker.on('failed', (job, error) => console.error(`job ${job?.id}: ${error.message}`));
worker.on('error', (error) => console.error(error.message));
await worker.waitUntilReady();
console.log(`waiting for jobs, process ${process.pid}`);

// Finishes what it has begun; other processes take the rest.
process.once('SIGTERM', async () => {
  await worker.close();
  session.dispose();
});
