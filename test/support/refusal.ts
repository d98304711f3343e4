import { type ErrorCode, QARepVGGError } from '../../lib';

/** What a refused call throws: an error of the right class, its code, and in its message what the code is about. */
export function expectRefusal(run: () => unknown, code: ErrorCode, message: string): void {
  expectError(caught(run), code, message);
}

/** As {@link expectRefusal}, for a promise. */
export async function expectRejection(promise: Promise<unknown>, code: ErrorCode, message: string): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expectError(error, code, message);
}

function expectError(error: unknown, code: ErrorCode, message: string): void {
  expect(error).toBeInstanceOf(QARepVGGError);
  const { code: received, message: text } = error as QARepVGGError;
  expect({ code: received, text }).toEqual({ code, text: expect.stringContaining(message) });
  // Messages without an alternative say what happened.
  expect(text).toMatch(/expected .*received |aborted$|has been disposed$|out of memory/s);
}

function caught(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}
