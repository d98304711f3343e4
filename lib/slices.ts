import { setImmediate } from 'node:timers';
import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Work in steps: at each `yield` it may pause. One definition serves both {@link inSlices} and {@link atOnce}. A step takes
 * microseconds, a few milliseconds at most.
 */
export type Steps<T> = Generator<undefined, T>;

/** How long the event loop is held at a time, apart from the last step. */
const sliceMilliseconds = 10;

/** Bytes or elements that a loop handles in one step. */
export const stepSize = 2 ** 20;

/** Does the work in slices, between which the event loop runs. Work that follows other work continues its slice. */
export async function inSlices<T>(steps: Steps<T>): Promise<T> {
  heldFor(); // the first step belongs to this turn
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    if (heldFor() < sliceMilliseconds) continue;
    await nextTurn();
    heldFor();
  }
}

/** When the first work of this turn of the event loop began. */
let beginning: number | undefined;

/** Milliseconds since then. */
function heldFor(): number {
  if (beginning !== undefined) return performance.now() - beginning;
  beginning = performance.now();
  setImmediate(() => {
    beginning = undefined;
  });
  return 0;
}

/** Work that is done. */
// biome-ignore lint/correctness/useYield: no step is left
export function* made<T>(value: T): Steps<T> {
  return value;
}

/** Does the work without a pause. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
