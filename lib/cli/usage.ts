import { type Mismatch, mismatch, QARepVGGError } from '../errors';

/** Errors of a wrong command line: exit code 2. */
const misuses = new WeakSet<QARepVGGError>();

/** The error of a wrong command line. */
export function misuse(...what: Mismatch): QARepVGGError {
  return asMisuse(mismatch('ERR_INVALID_ARG', ...what));
}

/** Runs a check of the command line: what it refuses is misuse. */
export function checkUsage<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw error instanceof QARepVGGError ? asMisuse(error) : error;
  }
}

/** Whether the command line is at fault; its flags become options of the library. */
export function isMisuse(error: unknown): boolean {
  return error instanceof QARepVGGError && (misuses.has(error) || error.option !== undefined);
}

function asMisuse(error: QARepVGGError): QARepVGGError {
  misuses.add(error);
  return error;
}
