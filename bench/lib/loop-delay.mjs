// How late timers of the JavaScript thread are.

import { percentile } from './numbers.mjs';

const intervalMs = 1;

/** Watches while it is told to: unlike the histogram of perf_hooks, it can leave out what does not count. */
export class LoopDelay {
  /** Milliseconds from one turn of the timer to the next. @type {number[]} */
  #samples = [];
  #last = 0;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  start() {
    this.#last = performance.now();
    this.#timer = setTimeout(() => {
      this.#record();
      this.start();
    }, intervalMs);
  }

  stop() {
    clearTimeout(this.#timer);
    // Where the thread was held up, the timer has had no turn yet.
    this.#record();
  }

  #record() {
    this.#samples.push(performance.now() - this.#last);
  }

  /** Milliseconds. */
  get p99() {
    return percentile(this.#samples, 99);
  }
}
