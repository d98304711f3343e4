import { QARepVGGError } from '../errors';

/** Whether the file of an image is at fault, rather than the call or the machine. */
export function isUnreadable(error: unknown): error is QARepVGGError {
  const isOfFile = error instanceof QARepVGGError && ['ERR_INVALID_ARG', 'ERR_LIMIT', 'ERR_SHAPE'].includes(error.code);
  return isOfFile && error.option === undefined;
}
