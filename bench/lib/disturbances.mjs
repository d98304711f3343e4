// What else goes on in a process that serves a model.

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { randn } from 'qarepvgg';
import { engines } from './engines.mjs';

/**
 * @typedef {{ file: string, threads: number }} Setup
 * @typedef {object} Disturbance
 * @property {() => void | Promise<void>} start
 * @property {() => Promise<unknown>} [between] in front of each run
 * @property {() => void | Promise<void>} stop
 * @property {() => void | Promise<void>} [close]
 */

/** Of the pauses in the JavaScript thread's work. */
const pauseMs = 5;

/** @type {Record<'onnxruntime' | 'sharp' | 'javascript', (setup: Setup) => Promise<Disturbance>>} */
export const disturbances = {
  /** A session of onnxruntime that runs in turns with what is measured; its threads spin for a while after each run. */
  async onnxruntime({ file, threads }) {
    const engine = await engines.onnxruntime?.();
    const session = await engine?.create({ file, threads });
    const { data, dims } = randn([1, 3, 224, 224]);
    return {
      start() {},
      between: async () => session?.run(data, [...dims]),
      stop() {},
      close: () => session?.close(),
    };
  },

  /**
   * sharp decodes JPEGs on libuv's threads, all the time. Another JavaScript thread asks for them, so that they do not wait for
   * an engine that computes on this one.
   */
  async sharp() {
    const worker = new Worker(new URL('./decoding-worker.mjs', import.meta.url));
    await once(worker, 'message');
    const tell = async (/** @type {boolean} */ on) => {
      worker.postMessage(on);
      await once(worker, 'message');
    };
    return {
      async start() {
        await tell(true);
        await sleep(50);
      },
      stop: () => tell(false),
      async close() {
        await worker.terminate();
      },
    };
  },

  /**
   * The JavaScript thread works half of the time, as when it parses requests. What it could not do while an engine computed on
   * this thread, it does then: the work is the same beside every engine.
   */
  async javascript() {
    let isOn = false;
    let working = Promise.resolve();
    const work = async () => {
      for (let last = performance.now(); isOn; await sleep(pauseMs)) {
        const now = performance.now();
        const end = now + (now - last);
        while (performance.now() < end);
        last = end;
      }
    };
    return {
      start() {
        isOn = true;
        working = work();
      },
      // To its end: two of them would leave the event loop no time at all.
      async stop() {
        isOn = false;
        await working;
      },
    };
  },
};
