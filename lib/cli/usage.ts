import { mismatch, QARepVGGError } from '../errors';

/** The command line makes no sense: exit code 2. */
export class UsageError extends Error {}

/** A {@link UsageError} in the words of all messages of this package. */
export function misuse(where: string, expected: string, received: string): UsageError {
  return new UsageError(mismatch('ERR_INVALID_ARG', where, expected, received).message);
}

/** Runs a check of what is on the command line: what it refuses is misuse. */
export function checkUsage<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw error instanceof QARepVGGError ? new UsageError(error.message, { cause: error }) : error;
  }
}

/** Whether the command line is at fault: options of the library are what its flags become. */
export function isMisuse(error: unknown): boolean {
  return error instanceof UsageError || (error instanceof QARepVGGError && error.option !== undefined);
}
