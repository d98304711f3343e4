import { TextDecoder } from 'node:util';
import { type Mismatch, mismatch, type QARepVGGError, quote, within } from '../../errors';
import type { Steps } from '../../slices';
import { crc32Of } from '../checksum';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** One entry of the directory. Sizes and offsets in bytes. */
export interface ZipEntry {
  readonly name: string;
  readonly crc: number;
  readonly size: number;
  /** Whether the data is neither compressed nor encrypted. */
  readonly plain: boolean;
  /** Place of the entry's own header, before its data. */
  readonly offset: number;
  /** Place of the directory's next entry. */
  readonly next: number;
}

/** The directory of a ZIP archive. */
export interface ZipDirectory {
  readonly entries: readonly ZipEntry[];
  /** Offset of the directory in bytes; all data precedes it. */
  readonly begin: number;
}

/**
 * Reads the directory of a ZIP archive as `torch.save` writes it: no comment, and after the directory a ZIP64 record that repeats
 * the plain one (APPNOTE.TXT, PKWARE, sections 4.3.7 to 4.3.16). Refuses anything that two readers could understand differently.
 *
 * @throws {QARepVGGError} ERR_MODEL_FORMAT; ERR_LIMIT for an archive of 4 GiB or more.
 */
export function* readDirectory(file: Uint8Array): Steps<ZipDirectory> {
  const view = viewOf(file);
  const { begin, end, count } = findDirectory(view);
  const entries: ZipEntry[] = [];
  let at = begin;
  for (let i = 0; i < count; i++) {
    const entry = readEntry(file, view, at, end);
    entries.push(entry);
    at = entry.next;
    yield;
  }
  if (at !== end) throw broken(`a directory of ${count} entries`, 'bytes left over');
  return { entries, begin };
}

/**
 * Returns the data of all entries by name, as views of `file`. Entries must follow one another up to the directory.
 *
 * @throws {QARepVGGError} ERR_MODEL_FORMAT for compressed, overlapping or damaged data, or a repeated name.
 */
export function* extract(file: Uint8Array, { entries, begin: end }: ZipDirectory): Steps<Map<string, Uint8Array>> {
  const view = viewOf(file);
  const contents = new Map<string, Uint8Array>();
  let free = 0;
  for (const { name, crc, size, plain, offset } of [...entries].sort((a, b) => a.offset - b.offset)) {
    const place = `entry ${quote(name)}`;
    if (contents.has(name)) throw broken(place, 'each name once', 'a repeated one');
    if (!plain) throw broken(place, 'plain data', 'compressed or encrypted data');
    if (offset < free || offset + localHeaderBytes > end || view.getUint32(offset, true) !== 0x04034b50) {
      throw broken(place, 'a header before its data, outside of other entries', 'none');
    }
    const nameBytes = view.getUint16(offset + 26, true);
    // The extra field pads the data to a multiple of 64 bytes. The sizes in this header are 0: they follow the data.
    const begin = offset + localHeaderBytes + nameBytes + view.getUint16(offset + 28, true);
    if (begin + size > end) throw broken(place, `${size} bytes of data before the directory`, 'fewer');
    const localName = file.subarray(offset + localHeaderBytes, offset + localHeaderBytes + nameBytes);
    if (within(place, () => decode(localName)) !== name)
      throw broken(place, 'the same name at its data', 'another name');
    const data = file.subarray(begin, begin + size);
    if ((yield* crc32Of(data)) !== crc) throw broken(place, 'data that match their checksum', 'damaged data');
    contents.set(name, data);
    free = begin + size;
    yield;
  }
  return contents;
}

interface Directory {
  readonly begin: number;
  readonly end: number;
  readonly count: number;
}

const endBytes = 22;
const zip64Bytes = 56;
const locatorBytes = 20;
const directoryEntryBytes = 46;
const localHeaderBytes = 30;

/** Sizes follow the data (bit 3), names are UTF-8 (bit 11); other bits are not supported. */
const allowedFlags = 0x0808;

function findDirectory(view: DataView): Directory {
  const end = view.byteLength - endBytes;
  if (end < 0 || view.getUint32(end, true) !== 0x06054b50 || view.getUint16(end + 20, true) !== 0) {
    throw broken('a ZIP archive that ends with its directory', 'an archive that is cut off or has bytes after it');
  }
  const [count, size, begin] = [
    view.getUint16(end + 10, true),
    view.getUint32(end + 12, true),
    view.getUint32(end + 16, true),
  ];
  if (count === 0xffff || size === 0xffffffff || begin === 0xffffffff) {
    throw mismatch('ERR_LIMIT', 'a ZIP archive below 4 GiB and 65,535 entries', 'a larger one');
  }
  const directory = { begin, end: begin + size, count };
  const disks = [view.getUint16(end + 4, true), view.getUint16(end + 6, true)];
  const sameCount = view.getUint16(end + 8, true) === count;
  const joined =
    directory.end === end || (directory.end === end - zip64Bytes - locatorBytes && agrees(view, directory));
  if (disks.some((disk) => disk !== 0) || !sameCount || !joined) {
    throw broken('a ZIP directory right before the end of the archive', 'another place');
  }
  return directory;
}

/** Whether the ZIP64 record after the directory agrees with the plain record. */
function agrees(view: DataView, { begin, end, count }: Directory): boolean {
  const locator = end + zip64Bytes;
  const size = end - begin;
  return (
    view.getUint32(end, true) === 0x06064b50 &&
    view.getBigUint64(end + 4, true) === BigInt(zip64Bytes - 12) &&
    [24, 32].every((field) => view.getBigUint64(end + field, true) === BigInt(count)) &&
    view.getBigUint64(end + 40, true) === BigInt(size) &&
    view.getBigUint64(end + 48, true) === BigInt(begin) &&
    view.getUint32(locator, true) === 0x07064b50 &&
    view.getBigUint64(locator + 8, true) === BigInt(end)
  );
}

function readEntry(file: Uint8Array, view: DataView, at: number, end: number): ZipEntry {
  if (at + directoryEntryBytes > end || view.getUint32(at, true) !== 0x02014b50) {
    throw broken('an entry of the ZIP directory', 'other bytes');
  }
  const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => view.getUint16(at + field, true)) as [
    number,
    number,
    number,
  ];
  const next = at + directoryEntryBytes + nameBytes + extraBytes + commentBytes;
  if (next > end) throw broken('an entry of the ZIP directory', 'a truncated one');
  const name = decode(file.subarray(at + directoryEntryBytes, at + directoryEntryBytes + nameBytes));
  const [packed, size] = [view.getUint32(at + 20, true), view.getUint32(at + 24, true)];
  const flags = view.getUint16(at + 8, true);
  const method = view.getUint16(at + 10, true);
  return {
    name,
    crc: view.getUint32(at + 16, true),
    size,
    plain: method === 0 && packed === size && (flags & ~allowedFlags) === 0,
    offset: view.getUint32(at + 42, true),
    next,
  };
}

function viewOf(file: Uint8Array): DataView {
  return new DataView(file.buffer, file.byteOffset, file.byteLength);
}

function decode(name: Uint8Array): string {
  try {
    return utf8.decode(name);
  } catch {
    throw broken('names in UTF-8', 'other bytes');
  }
}

function broken(...what: Mismatch): QARepVGGError {
  return mismatch('ERR_MODEL_FORMAT', ...what);
}
