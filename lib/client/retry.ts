import { setTimeout as sleep } from 'node:timers/promises';
import { failure, QARepVGGError } from '../errors';
import { throwIfAborted, withSignal } from '../runtime/abort';
import type { Reply } from './http';

const firstDelay = 50;
const longestDelay = 2000;

/** How long and how often to try. */
export interface Patience {
  readonly signal?: AbortSignal | undefined;
  readonly timeout: number;
  readonly retries: number;
}

/**
 * The first answer whose status is not 503, or the last one. Every request of the protocol may be repeated: none changes what
 * another does.
 *
 * @throws {QARepVGGError} (rejects) ERR_CONNECTION, ERR_TIMEOUT, ERR_ABORTED, ERR_LIMIT
 */
export async function withRetries(
  send: (signal: AbortSignal) => Promise<Reply>,
  { signal, timeout, retries }: Patience,
): Promise<Reply> {
  throwIfAborted(signal);
  const controller = new AbortController();
  const deadline = performance.now() + timeout;
  const timer = setTimeout(() => {
    const message = `expected an answer within ${timeout} ms, received none`;
    controller.abort(failure('ERR_TIMEOUT', message));
  }, timeout);
  const cancel = () => controller.abort(failure('ERR_ABORTED', 'call aborted'));
  const promise = tryRepeatedly(send, retries, deadline, controller.signal);
  try {
    return await withSignal({ promise, cancel }, signal);
  } finally {
    clearTimeout(timer);
  }
}

async function tryRepeatedly(
  send: (signal: AbortSignal) => Promise<Reply>,
  retries: number,
  deadline: number,
  signal: AbortSignal,
): Promise<Reply> {
  for (let attempt = 0; ; attempt++) {
    const outcome = await send(signal).catch((error: unknown) => {
      if (isLostConnection(error)) return error;
      throw error;
    });
    const isError = outcome instanceof QARepVGGError;
    if (!isError && outcome.status !== 503) return outcome;
    const delay = Math.max(backoff(attempt), isError ? 0 : retryAfter(outcome.headers['retry-after']));
    if (attempt >= retries || performance.now() + delay >= deadline) {
      if (isError) throw outcome;
      return outcome;
    }
    // The timer rejects with an error of its own; the signal's reason counts.
    await sleep(delay, undefined, { signal }).catch(() => {
      throw signal.reason;
    });
  }
}

function isLostConnection(error: unknown): error is QARepVGGError {
  return error instanceof QARepVGGError && error.code === 'ERR_CONNECTION';
}

/** Doubles with each try; half of it is random, so that clients refused together do not return together. */
function backoff(attempt: number): number {
  const delay = Math.min(firstDelay * 2 ** attempt, longestDelay);
  return (delay * (1 + Math.random())) / 2;
}

/** A count of seconds or a date, in milliseconds from now. */
function retryAfter(header: string | undefined): number {
  if (header === undefined) return 0;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.max(ms, 0);
}
