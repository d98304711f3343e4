import { messageOf, statusOf } from '../status';

/** Codes of gRPC by the HTTP status of the same error. */
const codes: Readonly<Record<number, number>> = {
  400: 3, // INVALID_ARGUMENT
  401: 16, // UNAUTHENTICATED
  404: 5, // NOT_FOUND
  413: 8, // RESOURCE_EXHAUSTED
  499: 1, // CANCELLED
  503: 14, // UNAVAILABLE
  504: 4, // DEADLINE_EXCEEDED
};

const internal = 13;

/** The status of a call that fails with this error. */
export function grpcError(error: unknown): { code: number; details: string } {
  return { code: codes[statusOf(error)] ?? internal, details: messageOf(error) };
}
