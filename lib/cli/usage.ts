import { mismatch, QARepVGGError } from '../errors';

/** The command line makes no sense: exit code 2. */
export class UsageError extends Error {}

/** A {@link UsageError} in the words of all messages of this package. */
export function misuse(where: string, expected: string, received: string): UsageError {
  return new UsageError(mismatch('ERR_INVALID_ARG', where, expected, received).message);
}

/** Runs a check of what is on the command line: what it refuses is misuse. */
export function checkUsage(check: () => void): void {
  try {
    check();
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

/** The place that a message begins with, up to the option that it names. A path in it would be in quotes. */
const option = /^[^":]*, options?\b/;

/** Whether the command line is at fault: options of the library are what its flags become. */
export function isMisuse(error: unknown): boolean {
  if (error instanceof UsageError) return true;
  return error instanceof QARepVGGError && error.code === 'ERR_INVALID_ARG' && option.test(error.message);
}
