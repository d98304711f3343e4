// Parts of check-serve.mjs that measure: too many requests, and two models on one machine.

import { setTimeout as sleep } from 'node:timers/promises';
import { postRequest, runLoad } from '../../bench/lib/load.mjs';

/** @typedef {{ url: string, port: number }} Server */

/** One image of floats for a model, as a raw binary request. @param {string} model @param {readonly number[]} dims */
export function imageRequest(model, dims) {
  const length = dims.reduce((product, dim) => product * dim, 1);
  const pixels = Buffer.from(Float32Array.from({ length }, (_, i) => Math.sin(i)).buffer);
  return postRequest(`/v2/models/${model}/infer`, { 'inference-header-content-length': 0 }, pixels);
}

/**
 * Requests at four times the rate that the server answers when it is busy.
 *
 * @param {Server} server @param {{ request: Buffer, seconds: number, waiting: number }} load `waiting`: how many others an accepted request
 *   may have to wait for
 */
export async function overload(server, { request, seconds, waiting }) {
  const load = (/** @type {object} */ more) =>
    runLoad({ port: server.port, request, clients: 16, seconds: 2, ...more });
  // The best of three: other programs may want the machine for a while.
  let capacity = 0;
  for (let i = 0; i < 3; i++) capacity = Math.max(capacity, (await load({})).perSecond);
  // Memory is compared with that of a server that has been busy before.
  await load({ clients: 256, rate: 4 * capacity });
  const before = await residentMiB(server, request);
  await eventLoopDelay(server);
  const result = await load({ clients: 256, rate: 4 * capacity, seconds });
  const delay = await eventLoopDelay(server);
  const growth = (await residentMiB(server, request)) - before;
  const { statuses, lost, wrong, ms, refusedMs, ahead, perSecond } = result;
  const facts = [
    `${Object.values(statuses).reduce((sum, count) => sum + count, 0)} answers in ${seconds} s`,
    `${perSecond.toFixed(0)} images/s of ${capacity.toFixed(0)} without overload`,
    `p99 ${ms.p99.toFixed(0)} ms behind ${ahead.p99.toFixed(0)} others, of refusals ${refusedMs.p99.toFixed(0)} ms`,
    `event loop p99 ${delay.toFixed(1)} ms, memory ${growth.toFixed(1)} MiB more`,
  ].join(', ');
  const isOdd = lost + wrong > 0 || !Object.keys(statuses).every((status) => status === '200' || status === '503');
  return {
    facts,
    faults: [
      isOdd && JSON.stringify({ statuses, lost, wrong }),
      !statuses['503'] && 'nothing was refused',
      ahead.p99 > waiting && `accepted requests wait for more than ${waiting} others`,
      delay > 20 && 'event loop p99 above 20 ms',
      growth > 32 && 'memory grows by more than 32 MiB',
    ],
  };
}

/**
 * A fast model alone, and beside a slow one that is busy: it waits for at most about one image of the slow one.
 *
 * @param {Server} server @param {{ slow: Buffer, fast: Buffer, seconds: number }} load
 */
export async function fairness(server, { slow, fast, seconds }) {
  const load = (/** @type {Buffer} */ request, /** @type {number} */ clients) =>
    runLoad({ port: server.port, request, clients, seconds });
  await load(slow, 1);
  const image = (await load(slow, 1)).ms.p50;
  const slowAlone = await load(slow, 16);
  const fastAlone = await load(fast, 4);
  const [slowBeside, fastBeside] = await Promise.all([load(slow, 16), load(fast, 4)]);
  const bound = 2 * image + 2 * fastAlone.ms.p99;
  const kept = slowBeside.perSecond / slowAlone.perSecond;
  const facts = [
    `fast model p50 ${fastAlone.ms.p50.toFixed(1)} ms, p99 ${fastAlone.ms.p99.toFixed(1)} ms alone`,
    `p50 ${fastBeside.ms.p50.toFixed(0)} ms, p99 ${fastBeside.ms.p99.toFixed(0)} ms beside a slow one`,
    `of which an image takes ${image.toFixed(0)} ms and which keeps ${kept.toFixed(2)} of its rate`,
  ].join(', ');
  const isOdd = [slowBeside, fastBeside].some(({ statuses }) => Object.keys(statuses).join() !== '200');
  return {
    facts,
    faults: [
      isOdd && JSON.stringify([slowBeside.statuses, fastBeside.statuses]),
      fastBeside.ms.p99 > bound && `p99 of the fast model above ${bound.toFixed(0)} ms`,
      kept < 0.5 && 'the slow model keeps less than half of its rate',
    ],
  };
}

/** A number of the server's metrics. @param {Server} server @param {string[]} names */
async function metrics({ url }, names) {
  const text = await (await fetch(`${url}/metrics`)).text();
  return names.map((name) => Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]));
}

/** p99 of the delay in ms since it was last asked for; the interval of the measurement, 10 ms, is part of the metric. @param {Server} server */
async function eventLoopDelay(server) {
  const [p99] = await metrics(server, ['nodejs_eventloop_lag_p99_seconds']);
  return Math.max(0, 1000 * Number(p99) - 10);
}

/**
 * What is resident without the part of V8's heap that holds nothing: how much V8 sets aside depends on the rate of small
 * allocations, not on what is kept. Garbage is not kept either, so this is the least while a client keeps the server collecting it.
 *
 * @param {Server} server @param {Buffer} request
 */
export async function residentMiB(server, request) {
  let [least, isOver] = [Number.POSITIVE_INFINITY, false];
  const traffic = runLoad({ port: server.port, request, clients: 1, seconds: 3 }).finally(() => {
    isOver = true;
  });
  while (!isOver) {
    const [resident, total, used] = await metrics(server, [
      'process_resident_memory_bytes',
      'nodejs_heap_size_total_bytes',
      'nodejs_heap_size_used_bytes',
    ]);
    least = Math.min(least, (Number(resident) - Number(total) + Number(used)) / 2 ** 20);
    await sleep(50);
  }
  await traffic;
  return least;
}

/** The packaged network and an image for it. */
export const packaged = { file: 'models/fashion-mnist.safetensors', dims: [1, 1, 28, 28] };
