import { constants } from 'node:buffer';
import { fileURLToPath } from 'node:url';
import { types } from 'node:util';
import { describe, mismatch, QARepVGGError, quote } from '../errors';
import { allocate } from '../limits';
import { readForeign } from '../options';
import { checkFixedMemory } from '../tensor';

/** Where the bytes of a file come from: its path, its `file:` URL, or the bytes themselves (a Buffer is a Uint8Array). */
export type FileSource = string | URL | Uint8Array | ArrayBuffer;

/** What {@link FileSource} takes, for messages. */
export const sourceNames = 'a path, a file: URL, a Uint8Array or an ArrayBuffer';

/** Whether this is one of the kinds that {@link FileSource} names. */
export function isFileSource(value: unknown, where: string): value is FileSource {
  return typeof value === 'string' || isBytes(value) || hrefOf(value, where) !== undefined;
}

/**
 * A source that the caller can no longer change: its bytes are copied.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG for anything but a source; ERR_BUFFER_*; ERR_OUT_OF_MEMORY.
 */
export function ownSource(source: FileSource, where: string): string | Uint8Array {
  const bytes = bytesIn(source, where);
  if (!bytes) return pathOf(source, where, sourceNames);
  const copy = allocateBytes(bytes.length, placeOfSource(source, where));
  copy.set(bytes);
  return copy;
}

/** The bytes of a source in memory; undefined for one on the disk. @throws {QARepVGGError} ERR_BUFFER_* */
export function bytesIn(source: unknown, where: string): Uint8Array | undefined {
  if (!isBytes(source)) return undefined;
  const place = `${where}, bytes`;
  if (types.isUint8Array(source)) {
    checkFixedMemory(source, 'those of a file', place);
    return source;
  }
  try {
    const view = new Uint8Array(source);
    checkFixedMemory(view, 'those of a file', place);
    return view;
  } catch (error) {
    if (error instanceof QARepVGGError) throw error;
    throw mismatch('ERR_BUFFER_DETACHED', place, 'those of a file', 'a detached ArrayBuffer');
  }
}

/** A path, or a `file:` URL, as the text of a path. @throws {QARepVGGError} ERR_INVALID_ARG */
export function pathOf(path: unknown, where: string, expected = 'a path or a file: URL'): string {
  const href = hrefOf(path, where);
  const text = href === undefined ? path : pathOfUrl(href, where);
  if (typeof text === 'string' && text !== '' && !text.includes('\0')) return text;
  throw mismatch('ERR_INVALID_ARG', `${where}, path`, expected, describe(path));
}

/** "where, path". @throws {QARepVGGError} ERR_INVALID_ARG for anything but a path. */
export function placeOf(path: unknown, where: string): string {
  return `${where}, ${quote(pathOf(path, where))}`;
}

/** Same as {@link placeOf}, or "where, 1234 bytes". @throws {QARepVGGError} ERR_INVALID_ARG for anything but a source. */
export function placeOfSource(source: unknown, where: string): string {
  const bytes = bytesIn(source, where);
  return bytes ? `${where}, ${bytes.length} bytes` : `${where}, ${quote(pathOf(source, where, sourceNames))}`;
}

/** @throws {QARepVGGError} ERR_LIMIT; ERR_OUT_OF_MEMORY when the machine lacks the memory. */
export function allocateBytes(length: number, where: string): Uint8Array {
  if (length > constants.MAX_LENGTH) {
    throw mismatch(
      'ERR_LIMIT',
      where,
      `at most ${constants.MAX_LENGTH} bytes, the limit of this version of Node`,
      `${length}`,
    );
  }
  return new Uint8Array(allocate(length, where));
}

function isBytes(value: unknown): value is Uint8Array | ArrayBufferLike {
  return types.isUint8Array(value) || types.isAnyArrayBuffer(value);
}

/** The address of a URL of any realm, or of one written out, as by `import.meta.resolve`. */
function hrefOf(value: unknown, where: string): string | undefined {
  if (typeof value === 'string' && value.startsWith('file://')) return value;
  if (typeof value !== 'object' || value === null || isBytes(value)) return undefined;
  return readForeign(`${where}, path`, () => {
    const { href, protocol } = value as Partial<URL>;
    return typeof href === 'string' && typeof protocol === 'string' ? href : undefined;
  });
}

function pathOfUrl(href: string, where: string): string {
  try {
    return fileURLToPath(href);
  } catch {
    throw mismatch('ERR_INVALID_ARG', `${where}, path`, 'a file: URL of this machine', quote(href));
  }
}
