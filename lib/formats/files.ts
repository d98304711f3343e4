import { constants } from 'node:fs';
import { access, type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import { didYouMean } from '../did-you-mean';
import { type ErrorCode, failure, mismatch, QARepVGGError } from '../errors';
import { allocateBytes, allocateFileBytes, bytesIn, type FileSource, pathOf, withinFile } from './sources';

export { allocateBytes, placeOf, withinFile } from './sources';

/** A file open for reading in one pass. */
export interface InputFile {
  /** Size in bytes when it was opened. */
  readonly size: number;
  /** The next `length` bytes, aligned, in memory of their own. */
  read(length: number): Promise<Uint8Array>;
}

// Without O_NONBLOCK, opening a named pipe without a writer would block forever; O_NOCTTY is for terminals. Windows
// has neither.
const openFlags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);

/** One call of the system reads less than 2 GiB. */
const maxReadBytes = 2 ** 30;

/**
 * Large files are read in parts side by side: Node has four threads for files, and new memory is slow to get. Parts of smaller files would
 * only take the processor from what else is done meanwhile.
 */
const parts = 4;
const minPartBytes = 2 ** 25;

/**
 * Opens a regular file, or bytes that {@link ownSource} has taken, lets `use` read it, and closes it.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG when there is no such file, when it may not be read, or when it is a folder, a
 * pipe or a device; ERR_INVALID_STATE when it changes meanwhile; ERR_OUT_OF_MEMORY; whatever `use` throws.
 */
export async function withFile<T>(source: FileSource, use: (file: InputFile) => Promise<T>): Promise<T> {
  return withinFile(source, () => useFile(source, use));
}

/** Same as {@link withFile}, for callers whose errors name the file: see {@link withinFile}. */
export async function useFile<T>(source: FileSource, use: (file: InputFile) => Promise<T>): Promise<T> {
  const bytes = bytesIn(source);
  return bytes ? use(inMemory(bytes)) : useFileAt(pathOf(source), use);
}

/** Bytes as a file. If all are read at once, they are not copied; a part is, because its reader needs it aligned. */
function inMemory(bytes: Uint8Array): InputFile {
  let position = 0;
  const read = (length: number): Promise<Uint8Array> => {
    const begin = position;
    position += length;
    const isWhole = length === bytes.length && bytes.byteLength === bytes.buffer.byteLength;
    if (isWhole) return Promise.resolve(bytes);
    const part = allocateBytes(length);
    part.set(bytes.subarray(begin, position));
    return Promise.resolve(part);
  };
  return { size: bytes.length, read };
}

async function useFileAt<T>(path: string, use: (file: InputFile) => Promise<T>): Promise<T> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, openFlags);
    const before = await handle.stat();
    if (!before.isFile()) {
      throw mismatch('ERR_INVALID_ARG', 'a file', before.isDirectory() ? 'a folder' : 'a pipe or device');
    }
    const source = handle;
    let position = 0;
    const read = (length: number): Promise<Uint8Array> => {
      position += length;
      return readFrom(source, position - length, length);
    };
    const result = await use({ size: before.size, read });
    const after = await handle.stat();
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs) throw changed();
    return result;
  } catch (error) {
    const hint = handle ? '' : await similarName(path, error);
    throw systemError('a file that can be read', error, hint);
  } finally {
    await handle?.close();
  }
}

/** At most this many names in a folder are compared with a mistyped one. */
const maxNames = 1000;

/** `; did you mean "model.onnx"?`, where a path is missing and its folder holds a similar name; otherwise empty. */
export async function similarName(path: string, error: unknown): Promise<string> {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return '';
  const names = await readdir(dirname(path)).catch((): string[] => []);
  return names.length > maxNames ? '' : didYouMean(basename(path), names);
}

/** All bytes of a regular file. @throws {QARepVGGError} the errors of {@link withFile} */
export function readWholeFile(source: FileSource): Promise<Uint8Array> {
  return withFile(source, (file) => file.read(file.size));
}

/** Whether there is a file, or something else, of this name. */
export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function readFrom(handle: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = allocateFileBytes(length);
  const step = Math.max(minPartBytes, Math.ceil(length / parts));
  const reads: Promise<void>[] = [];
  for (let begin = 0; begin < length; begin += step) {
    reads.push(fill(bytes.subarray(begin, begin + step), handle, position + begin));
  }
  await Promise.all(reads);
  return bytes;
}

async function fill(bytes: Uint8Array, handle: FileHandle, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const length = Math.min(bytes.length - done, maxReadBytes);
    const { bytesRead } = await handle.read(bytes, done, length, position + done);
    if (bytesRead === 0) throw changed();
    done += bytesRead;
  }
}

function changed(): QARepVGGError {
  return mismatch('ERR_INVALID_STATE', 'a file that stays as it is while it is read', 'one that has changed');
}

const codes: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'ERR_LIMIT',
  EDQUOT: 'ERR_LIMIT',
  EFBIG: 'ERR_LIMIT',
  EMFILE: 'ERR_LIMIT',
  ENFILE: 'ERR_LIMIT',
  ENOMEM: 'ERR_OUT_OF_MEMORY',
};

/** What Node's permission model throws. */
type PermissionError = Error & { readonly permission?: string };

function accessDenied(expected: string, error: PermissionError): QARepVGGError {
  const flag = error.permission === 'FileSystemWrite' ? '--allow-fs-write' : '--allow-fs-read';
  const advice = `ERR_ACCESS_DENIED (Node's permission model; ${flag} allows it)`;
  return failure('ERR_INVALID_ARG', `expected ${expected}, received ${advice}`, { cause: error });
}

/**
 * An error of the operating system or Node, as an error of this package: ERR_LIMIT for a full disk and the like, otherwise
 * ERR_INVALID_ARG. Its cause carries the system's `code`; the path in the system's message is omitted, because the
 * caller may not know it. Errors of other kinds come back as they are.
 *
 * @param hint Follows the message.
 */
export function systemError(expected: string, error: unknown, hint = ''): unknown {
  const { errno, code } = error as NodeJS.ErrnoException;
  if (code === 'ERR_ACCESS_DENIED') return accessDenied(expected, error as PermissionError);
  if (error instanceof QARepVGGError || typeof errno !== 'number' || code === undefined) return error;
  const text = getSystemErrorMap().get(errno)?.[1] ?? 'refused by the system';
  const cause = Object.assign(new Error(`${code}: ${text}`), { code, errno });
  return failure(codes[code] ?? 'ERR_INVALID_ARG', `expected ${expected}, received ${code} (${text})${hint}`, {
    cause,
  });
}
