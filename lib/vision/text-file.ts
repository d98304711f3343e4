import { readFile, stat } from 'node:fs/promises';
import { mismatch, QARepVGGError, quote } from '../errors';

/** The text of a file in UTF-8. @throws {QARepVGGError} (rejects) ERR_INVALID_ARG for a file that cannot be read; ERR_LIMIT */
export async function readText(path: string, maxBytes: number, where: string): Promise<string> {
  const place = `${where}, ${quote(path)}`;
  let bytes: Uint8Array;
  try {
    const { size } = await stat(path);
    if (size > maxBytes) throw mismatch('ERR_LIMIT', place, `at most ${maxBytes} bytes`, `${size}`);
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof QARepVGGError) throw error;
    const { code = 'an error' } = error as NodeJS.ErrnoException;
    throw new QARepVGGError('ERR_INVALID_ARG', `${place}: expected a file that can be read, received ${code}`, {
      cause: error,
    });
  }
  return decodeText(bytes, place);
}

/** @throws {QARepVGGError} ERR_INVALID_ARG for bytes that are no UTF-8. */
export function decodeText(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new QARepVGGError('ERR_INVALID_ARG', `${where}: expected text in UTF-8, received other bytes`, {
      cause: error,
    });
  }
}
