import { QARepVGGError } from '../errors';

/** Runs what Ctrl+C stops. Undefined when it was stopped. */
export async function untilInterrupted<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once('SIGINT', onSignal);
  try {
    return await run(stop.signal);
  } catch (error) {
    if (error instanceof QARepVGGError && error.code === 'ERR_ABORTED') return undefined;
    throw error;
  } finally {
    process.off('SIGINT', onSignal);
  }
}
