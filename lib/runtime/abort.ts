import { setImmediate } from 'node:timers/promises';
import { describe, failure, mismatch, QARepVGGError, within } from '../errors';
import { type Field, readForeign } from '../options';

/** The part of AbortSignal that is used. */
type Signal = Pick<AbortSignal, 'aborted' | 'reason' | 'addEventListener' | 'removeEventListener'>;

/** Pending work that can be aborted: `cancel` rejects its promise with ERR_ABORTED, unless it has settled. */
export interface Cancellable<T> {
  readonly promise: Promise<T>;
  cancel(): void;
}

/** Reads an AbortSignal, of any realm, or nothing. */
export const signalField: Field<AbortSignal | undefined> = (value) => {
  if (value === undefined || isSignal(value)) return value;
  throw mismatch('ERR_INVALID_ARG', 'an AbortSignal', describe(value));
};

function isSignal(value: unknown): value is AbortSignal {
  if (typeof value !== 'object' || value === null) return false;
  return readForeign(() => {
    const { aborted, addEventListener, removeEventListener } = value as Partial<Signal>;
    return [typeof aborted, typeof addEventListener, typeof removeEventListener].join() === 'boolean,function,function';
  });
}

/** @throws {QARepVGGError} ERR_ABORTED with the signal's reason as its cause. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal && within('option signal', () => readForeign(() => signal.aborted))) throw aborted(signal);
}

/**
 * Lets the event loop run between two pieces of long work on the JavaScript thread, so that an abort can arrive.
 *
 * @throws {QARepVGGError} ERR_ABORTED
 */
export async function letOthersRun(signal: AbortSignal | undefined): Promise<void> {
  await setImmediate();
  throwIfAborted(signal);
}

/**
 * Returns the result of `work`, which cannot be aborted itself: after an abort nothing waits for it.
 *
 * @throws {QARepVGGError} (rejects) ERR_ABORTED
 */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  let cancel = (): void => undefined;
  const abort = new Promise<never>((_, reject) => {
    cancel = () => reject(aborted(signal));
  });
  try {
    within('option signal', () => readForeign(() => (signal.aborted ? cancel() : listen(signal, cancel))));
    return await Promise.race([abort, work]);
  } finally {
    unlisten(signal, cancel);
  }
}

/**
 * Returns the result of work that `signal` aborts. Listens to the signal only until the work has settled.
 *
 * @throws {QARepVGGError} (rejects) ERR_ABORTED; ERR_INVALID_ARG for a signal that throws.
 */
export async function withSignal<T>(work: Cancellable<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work.promise;
  const cancel = (): void => work.cancel();
  try {
    within('option signal', () => readForeign(() => listen(signal, cancel)));
  } catch (error) {
    // The signal is the caller's own and cannot be listened to. The work must still be stopped.
    work.cancel();
    await Promise.allSettled([work.promise]);
    throw error;
  }
  try {
    return await work.promise;
  } catch (error) {
    throw error instanceof QARepVGGError && error.code === 'ERR_ABORTED' ? aborted(signal) : error;
  } finally {
    unlisten(signal, cancel);
  }
}

interface Listener {
  readonly cancels: Set<() => void>;
  readonly onAbort: () => void;
}

/** One listener for each signal, however many runs share it: Node warns about more than ten. */
const listeners = new WeakMap<AbortSignal, Listener>();

function listen(signal: AbortSignal, cancel: () => void): void {
  const known = listeners.get(signal);
  if (known) {
    known.cancels.add(cancel);
    return;
  }
  const cancels = new Set([cancel]);
  const onAbort = (): void => {
    for (const each of cancels) each();
  };
  signal.addEventListener('abort', onAbort);
  listeners.set(signal, { cancels, onAbort });
}

function unlisten(signal: AbortSignal, cancel: () => void): void {
  const known = listeners.get(signal);
  if (!known) return;
  known.cancels.delete(cancel);
  if (known.cancels.size > 0) return;
  listeners.delete(signal);
  try {
    signal.removeEventListener('abort', known.onAbort);
  } catch {
    // The signal is the caller's own. The work has settled, so a listener that stays does nothing.
  }
}

function aborted(signal: AbortSignal): QARepVGGError {
  return failure('ERR_ABORTED', 'aborted', {
    cause: within('option signal', () => readForeign(() => signal.reason)),
  });
}
