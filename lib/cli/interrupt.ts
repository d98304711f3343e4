import { constants } from 'node:os';
import { QARepVGGError } from '../errors';

/** What stops long work: Ctrl+C, and what Docker, systemd and `kill` send. */
const stopSignals = ['SIGINT', 'SIGTERM'] as const;

/**
 * Runs what a signal stops. Undefined when it was stopped; the process then ends with exit code 1 after Ctrl+C, and after
 * SIGTERM with 143, as its sender expects.
 */
export async function untilInterrupted<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => stop.abort(signal);
  for (const signal of stopSignals) process.once(signal, onSignal);
  try {
    return await run(stop.signal);
  } catch (error) {
    if (error instanceof QARepVGGError && error.code === 'ERR_ABORTED') return undefined;
    throw error;
  } finally {
    for (const signal of stopSignals) process.off(signal, onSignal);
    if (stop.signal.reason === 'SIGTERM') process.once('exit', endAsTerminated);
  }
}

function endAsTerminated(): void {
  if (process.exitCode !== 0) process.exitCode = 128 + constants.signals.SIGTERM;
}
