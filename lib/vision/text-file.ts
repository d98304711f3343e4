import { readFile, stat } from 'node:fs/promises';
import { failure, mismatch, QARepVGGError, quote, within } from '../errors';

/** The text of a file in UTF-8. @throws {QARepVGGError} (rejects) ERR_INVALID_ARG for a file that cannot be read; ERR_LIMIT */
export async function readText(path: string, maxBytes: number): Promise<string> {
  return within(quote(path), async () => decodeText(await readBytes(path, maxBytes)));
}

async function readBytes(path: string, maxBytes: number): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > maxBytes) throw mismatch('ERR_LIMIT', `at most ${maxBytes} bytes`, `${size}`);
    return await readFile(path);
  } catch (error) {
    if (error instanceof QARepVGGError) throw error;
    const { code = 'an error' } = error as NodeJS.ErrnoException;
    throw failure('ERR_INVALID_ARG', `expected a file that can be read, received ${code}`, { cause: error });
  }
}

/** @throws {QARepVGGError} ERR_INVALID_ARG for bytes that are no UTF-8. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw failure('ERR_INVALID_ARG', 'expected text in UTF-8, received other bytes', { cause: error });
  }
}
