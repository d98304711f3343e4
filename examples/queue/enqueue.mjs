// REDIS_URL=redis://127.0.0.1:6379 node examples/queue/enqueue.mjs [count]
//
// Adds a job for each of the first `count` test images (default 500) of the Fashion-MNIST subset beside this example, waits for the
// results and prints how many are right.

import { fileURLToPath } from 'node:url';
import { Queue, QueueEvents } from 'bullmq';
import { loadFashionMnist } from 'qarepvgg';
import { connectionTo, queueName, toBase64 } from './queue.mjs';

const count = Number(process.argv[2] ?? 500);
const connection = connectionTo(process.env.REDIS_URL);
const queue = new Queue(queueName, { connection });
const events = new QueueEvents(queueName, { connection });
queue.setMaxListeners(0); // each job that is waited for listens
await events.waitUntilReady();

const test = await loadFashionMnist(fileURLToPath(new URL('../data/fashion-mnist', import.meta.url)), 'test');
const jobs = await queue.addBulk(
  Array.from({ length: Math.min(count, test.length) }, (_, i) => {
    return {
      name: 'image',
      data: { pixels: toBase64(test.image(i)), dims: [1, ...test.dims] },
      opts: { attempts: 3, removeOnComplete: { age: 3600 } },
    };
  }),
);
const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
const right = results.filter(({ classes }, i) => classes[0] === test.label(i)).length;
console.log(`${right} of ${results.length} images are classified as labelled`);
await events.close();
await queue.close();
