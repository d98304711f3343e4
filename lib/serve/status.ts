import { type ErrorCode, QARepVGGError } from '../errors';

/** The HTTP status of each error of the library that a request can cause; of all others it is 500. */
const statuses: Partial<Record<ErrorCode, number>> = {
  ERR_INVALID_ARG: 400,
  ERR_SHAPE: 400,
  ERR_DTYPE: 400,
  ERR_BUFFER_SIZE: 400,
  ERR_SIZE_OVERFLOW: 400,
  ERR_UNAUTHORIZED: 401,
  ERR_NOT_FOUND: 404,
  ERR_LIMIT: 413,
  ERR_ABORTED: 499,
  ERR_ADDON_LOAD: 501,
  ERR_BUSY: 503,
  ERR_DISPOSED: 503,
  ERR_TIMEOUT: 504,
};

export function statusOf(error: unknown): number {
  return (error instanceof QARepVGGError && statuses[error.code]) || 500;
}

/** What a client may read: of the server's own errors only that there was one. */
export function messageOf(error: unknown): string {
  return statusOf(error) === 500 ? 'internal error' : (error as Error).message;
}
