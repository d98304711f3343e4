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

/** The header of a safetensors file of this package. */
export type FileHeader = Record<string, Record<string, unknown>> & { __metadata__: Record<string, string> };

/** Changes the header of a file, and its data in place. */
export type FileChange = (header: FileHeader, data: Buffer) => void;

/** A file of this package after a change, without the checksum, which no longer fits. */
export function editedFile(file: Buffer, change: FileChange): Buffer {
  const end = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, end)) as FileHeader;
  delete header.__metadata__.checksum;
  const data = Buffer.from(file.subarray(end));
  change(header, data);
  return Buffer.concat([safetensorsFile(header, 0), data]);
}

/** Gives a tensor another name. */
export function renamed(from: string, to: string): FileChange {
  return (header) => {
    header[to] = header[from] as Record<string, unknown>;
    delete header[from];
  };
}

/** Changes the first number of a tensor of floats. */
export function scaleAt(name: string, value: number): FileChange {
  return (header, data) => {
    const { data_offsets } = header[name] as { data_offsets: [number, number] };
    data.writeFloatLE(value, data_offsets[0]);
  };
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
