import { constants } from 'node:buffer';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ErrorCode } from '../../lib';
import type { RawTensor } from '../../lib/formats/dtypes';
import type { SafetensorsFile } from '../../lib/formats/safetensors';
import {
  parseHeader,
  prefixBytes,
  readHeaderLength,
  unreadTensors,
  viewTensors,
} from '../../lib/formats/safetensors/header';
import { atOnce } from '../../lib/slices';

/** A folder for the files of one test file, removed after its last test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'qarepvgg-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A safetensors file of this header, in JSON or as it is, in front of that many bytes of data. */
export function safetensorsFile(header: unknown, dataBytes: number): Buffer {
  const text = Buffer.from(
    typeof header === 'string' || header instanceof Uint8Array ? header : JSON.stringify(header),
  );
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([prefix, text, Buffer.alloc(dataBytes, 1)]);
}

/** How a file of 4 TiB is refused: most versions of Node cannot address it, the others find no memory. */
export const beyondMemory: readonly [code: ErrorCode, message: string] =
  constants.MAX_LENGTH < 2 ** 42
    ? ['ERR_LIMIT', 'the limit of this version of Node']
    : ['ERR_OUT_OF_MEMORY', 'out of memory'];

/** What `read` returns, or the code of the error that it throws. */
export function outcome<T>(read: () => T): T | { code: string } {
  try {
    return read();
  } catch (error) {
    return { code: (error as { code?: string }).code ?? String(error) };
  }
}

/** Runs `use` without the rights of the superuser, which no permission of a file holds back. */
export async function asNobody(use: () => Promise<void>): Promise<void> {
  const user = process.geteuid?.();
  if (user === 0) process.seteuid?.(65_534);
  try {
    await use();
  } finally {
    if (user === 0) process.seteuid?.(0);
  }
}

/** What a safetensors file in memory holds, by the functions that read one from the disk. */
export function parseSafetensors(file: Uint8Array): SafetensorsFile<RawTensor> {
  const start = prefixBytes + readHeaderLength(file, file.length);
  const header = atOnce(parseHeader(file.subarray(prefixBytes, start), file.length - start));
  const { metadata } = header;
  return { tensors: atOnce(viewTensors(header, file.subarray(start))), metadata, unread: unreadTensors(header) };
}
