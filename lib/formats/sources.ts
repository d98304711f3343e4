import { constants } from 'node:buffer';
import { fileURLToPath } from 'node:url';
import { types } from 'node:util';
import { describe, mismatch, quote, within } from '../errors';
import { allocate, allocateAligned } from '../limits';
import { readForeign } from '../options';
import { checkFixedMemory } from '../tensor';

/** Where the bytes of a file come from: its path, its `file:` URL, or the bytes themselves (a Buffer is a Uint8Array). */
export type FileSource = string | URL | Uint8Array | ArrayBuffer;

/** What {@link FileSource} takes, for messages. */
export const sourceNames = 'a path, a file: URL, a Uint8Array or an ArrayBuffer';

/** Whether this is one of the kinds that {@link FileSource} names. */
export function isFileSource(value: unknown): value is FileSource {
  return typeof value === 'string' || isBytes(value) || hrefOf(value) !== undefined;
}

/**
 * A source that the caller can no longer change: its bytes are copied.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG for anything but a source; ERR_BUFFER_*; ERR_OUT_OF_MEMORY.
 */
export function ownSource(source: FileSource): string | Uint8Array {
  const bytes = bytesIn(source);
  if (!bytes) return pathOf(source, sourceNames);
  const copy = withinFile(source, () => allocateBytes(bytes.length));
  copy.set(bytes);
  return copy;
}

/** The bytes of a source in memory; undefined for one on the disk. @throws {QARepVGGError} ERR_BUFFER_* */
export function bytesIn(source: unknown): Uint8Array | undefined {
  if (!isBytes(source)) return undefined;
  return within('bytes', () => {
    const view = types.isUint8Array(source) ? source : viewOf(source);
    checkFixedMemory(view, 'those of a file');
    return view;
  });
}

function viewOf(buffer: ArrayBufferLike): Uint8Array {
  try {
    return new Uint8Array(buffer);
  } catch {
    throw mismatch('ERR_BUFFER_DETACHED', 'those of a file', 'a detached ArrayBuffer');
  }
}

/** A path, or a `file:` URL, as the text of a path. @throws {QARepVGGError} ERR_INVALID_ARG */
export function pathOf(path: unknown, expected = 'a path or a file: URL'): string {
  const href = hrefOf(path);
  const text = href === undefined ? path : pathOfUrl(href);
  if (typeof text === 'string' && text !== '' && !text.includes('\0')) return text;
  throw mismatch('ERR_INVALID_ARG', 'path', expected, describe(path));
}

/** A path, for messages. @throws {QARepVGGError} ERR_INVALID_ARG for anything but a path. */
export function placeOf(path: unknown): string {
  return quote(pathOf(path));
}

/** Same as {@link placeOf}, or "1234 bytes". @throws {QARepVGGError} ERR_INVALID_ARG for anything but a source. */
export function placeOfSource(source: unknown): string {
  const bytes = bytesIn(source);
  return bytes ? `${bytes.length} bytes` : quote(pathOf(source, sourceNames));
}

/** Calls a function that reads a file; its errors name the file. */
export function withinFile<T>(source: unknown, call: () => T): T {
  return within(placeOfSource(source), call);
}

/** @throws {QARepVGGError} ERR_LIMIT; ERR_OUT_OF_MEMORY when the machine lacks the memory. */
export function allocateBytes(length: number): Uint8Array {
  checkLength(length);
  return new Uint8Array(allocate(length));
}

/** Bytes that nobody outside sees: a part of a larger buffer, which their pages fit better. @throws As {@link allocateBytes} */
export function allocateFileBytes(length: number): Uint8Array {
  checkLength(length);
  return allocateAligned(length);
}

function checkLength(length: number): void {
  if (length > constants.MAX_LENGTH) {
    throw mismatch(
      'ERR_LIMIT',
      `at most ${constants.MAX_LENGTH} bytes, the limit of this version of Node`,
      `${length}`,
    );
  }
}

function isBytes(value: unknown): value is Uint8Array | ArrayBufferLike {
  return types.isUint8Array(value) || types.isAnyArrayBuffer(value);
}

/** The address of a URL of any realm, or of one written out, as by `import.meta.resolve`. */
function hrefOf(value: unknown): string | undefined {
  if (typeof value === 'string' && value.startsWith('file://')) return value;
  if (typeof value !== 'object' || value === null || isBytes(value)) return undefined;
  return within('path', () =>
    readForeign(() => {
      const { href, protocol } = value as Partial<URL>;
      return typeof href === 'string' && typeof protocol === 'string' ? href : undefined;
    }),
  );
}

function pathOfUrl(href: string): string {
  try {
    return fileURLToPath(href);
  } catch {
    throw mismatch('ERR_INVALID_ARG', 'path', 'a file: URL of this machine', quote(href));
  }
}
