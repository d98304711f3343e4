import { mismatch, QARepVGGError } from '../errors';

/** A wrong command line: exit code 2. */
export class UsageError extends Error {}

/** A {@link UsageError} in the form of this package's messages. */
export function misuse(where: string, expected: string, received: string): UsageError {
  return new UsageError(mismatch('ERR_INVALID_ARG', where, expected, received).message);
}

/** Runs a check of the command line: what it refuses is misuse. */
export function checkUsage<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw error instanceof QARepVGGError ? new UsageError(error.message, { cause: error }) : error;
  }
}

/** Whether the command line is at fault; its flags become options of the library. */
export function isMisuse(error: unknown): boolean {
  return error instanceof UsageError || (error instanceof QARepVGGError && error.option !== undefined);
}
