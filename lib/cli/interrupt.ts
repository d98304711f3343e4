import { constants } from 'node:os';
import { QARepVGGError } from '../errors';

/** Signals that stop long work: Ctrl+C's, and the one that Docker, systemd and `kill` send. */
const stopSignals = ['SIGINT', 'SIGTERM'] as const;

/**
 * Runs work that a signal can stop. Resolves to undefined if it was stopped; the process then ends with exit code 1 after
 * Ctrl+C, and with 143 after SIGTERM, as its sender expects.
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
