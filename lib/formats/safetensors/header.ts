import { TextDecoder } from 'node:util';
import { describe, describeList, mismatch, quote, stepsWithin } from '../../errors';
import { maxRank } from '../../limits';
import type { Steps } from '../../slices';
import { arrayOf, bytesPerElement, dtypes, isDtype, type RawTensor, rawTensor } from '../dtypes';
import { JsonScanner } from './json';

/** Bytes before the header: its length. */
export const prefixBytes = 8;

/** The format allows 100 MB. No network comes near this lower limit, which bounds the time that a hostile header can cost. */
export const maxHeaderBytes = 2 ** 24;

/** Types of the format that this package cannot read, with their bits. */
const otherBits: ReadonlyMap<string, number> = new Map([
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['F8_E4M3', 8],
  ['F8_E5M2', 8],
  ['F8_E8M0', 8],
  ['F8_E4M3FNUZ', 8],
  ['F8_E5M2FNUZ', 8],
  ['C64', 64],
]);

/** What a header says: where each tensor is in the data. */
export interface Header {
  /** In the order of the data. */
  readonly entries: readonly Entry[];
  readonly metadata: Record<string, string>;
}

interface Entry {
  readonly name: string;
  /** One of {@link dtypes}, or of {@link otherBits}. */
  readonly dtype: string;
  readonly dims: number[];
  /** In bytes from the start of the data. */
  readonly begin: number;
  readonly end: number;
}

/** Reads the length of the header in bytes. @param prefix The first bytes of a file of `fileBytes`. */
export function readHeaderLength(prefix: Uint8Array, fileBytes: number): number {
  if (fileBytes < prefixBytes) {
    throw mismatch('ERR_MODEL_FORMAT', 'a safetensors file of at least 8 bytes', `${fileBytes} bytes`);
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > BigInt(fileBytes - prefixBytes)) {
    throw mismatch(
      'ERR_MODEL_FORMAT',
      `a safetensors header of at most ${fileBytes - prefixBytes} bytes, the rest of the file`,
      `${length}`,
    );
  }
  if (length > maxHeaderBytes) {
    throw mismatch('ERR_LIMIT', `a header of at most ${maxHeaderBytes} bytes`, `${length}`);
  }
  return Number(length);
}

/**
 * Reads and checks a header: its tensors must fill the data without holes or overlaps.
 *
 * @param dataBytes Bytes of the file after the header.
 */
export function* parseHeader(header: Uint8Array, dataBytes: number): Steps<Header> {
  const { entries, metadata } = yield* stepsWithin('header', scanHeader(header));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  yield* checkEntries(entries, dataBytes);
  return { entries, metadata };
}

function* scanHeader(header: Uint8Array): Steps<{ entries: Entry[]; metadata: Record<string, string> }> {
  const text = decode(header);
  if (!text.startsWith('{')) throw mismatch('ERR_MODEL_FORMAT', '"{"', describe(text.slice(0, 20)));
  const scanner = new JsonScanner(text);
  const entries: Entry[] = [];
  const metadata = Object.create(null) as Record<string, string>;
  for (const name of scanner.object()) {
    if (name !== '__metadata__') entries.push(readEntry(scanner, name));
    else yield* readMetadata(scanner, metadata);
    yield;
  }
  scanner.end();
  return { entries, metadata };
}

function* readMetadata(scanner: JsonScanner, metadata: Record<string, string>): Steps<void> {
  for (const key of scanner.object()) {
    metadata[key] = scanner.string();
    yield;
  }
}

/** The tensors: views of the data if they are aligned, else copies. */
export function* viewTensors({ entries }: Header, data: Uint8Array): Steps<Record<string, RawTensor>> {
  const tensors = Object.create(null) as Record<string, RawTensor>;
  for (const { name, dtype, dims, begin, end } of entries) {
    if (isDtype(dtype)) tensors[name] = rawTensor(dtype, arrayOf(dtype, data.subarray(begin, end)), dims);
    yield;
  }
  return tensors;
}

/** The types of the tensors that {@link viewTensors} skips, by name. */
export function unreadTensors({ entries }: Header): Record<string, string> {
  const unread = Object.create(null) as Record<string, string>;
  for (const { name, dtype } of entries) if (!isDtype(dtype)) unread[name] = dtype;
  return unread;
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw mismatch('ERR_MODEL_FORMAT', 'text in UTF-8', 'other bytes');
  }
}

const number = '(?:0|[1-9]\\d{0,14})';
const list = `((?:${number}(?:,${number}){0,${maxRank - 1}})?)`;

/** An entry as libraries write it: one match takes a tenth of the time. */
const usualEntry = new RegExp(
  `{"dtype":"(\\w+)","shape":\\[${list}\\],"data_offsets":\\[(${number}),(${number})\\]}`,
  'y',
);

function readEntry(scanner: JsonScanner, name: string): Entry {
  const [, type, shape, begin, end] = scanner.match(usualEntry) ?? [];
  if (type === undefined || shape === undefined) return readUnusual(scanner, name);
  const dims = shape === '' ? [] : shape.split(',').map(Number);
  return { name, dtype: checkDtype(type, scanner, name), dims, begin: Number(begin), end: Number(end) };
}

function readUnusual(scanner: JsonScanner, name: string): Entry {
  let dtype: string | undefined;
  let dims: number[] | undefined;
  let offsets: number[] | undefined;
  for (const key of scanner.object()) {
    if (key === 'dtype') dtype = scanner.string();
    else if (key === 'shape') dims = scanner.array(maxRank, () => scanner.integer());
    else if (key === 'data_offsets') offsets = scanner.array(2, () => scanner.integer());
    else throw scanner.failure('"dtype", "shape" or "data_offsets"', describe(key));
  }
  const [begin, end] = offsets ?? [];
  if (dtype === undefined || dims === undefined || begin === undefined || end === undefined) {
    throw scanner.failure(`dtype, shape and two data_offsets of tensor ${quote(name)}`, 'less');
  }
  return { name, dtype: checkDtype(dtype, scanner, name), dims, begin, end };
}

function checkDtype(dtype: string, scanner: JsonScanner, name: string): string {
  if (isDtype(dtype) || otherBits.has(dtype)) return dtype;
  throw scanner.failure(`a dtype among ${dtypes.join(', ')} in tensor ${quote(name)}`, describe(dtype));
}

function* checkEntries(entries: readonly Entry[], dataBytes: number): Steps<void> {
  let position = 0;
  for (const { name, dtype, dims, begin, end } of entries) {
    const place = `tensor ${quote(name)}`;
    if (begin !== position) {
      throw mismatch('ERR_MODEL_FORMAT', place, `data from byte ${position} on, without hole or overlap`, `${begin}`);
    }
    if (end < begin || end > dataBytes) {
      throw mismatch('ERR_MODEL_FORMAT', place, `data up to a byte from ${begin} to ${dataBytes}`, `${end}`);
    }
    // Products beyond 2^53 are rounded but stay beyond it, so they never equal the size of data in a file.
    const elementBytes = isDtype(dtype) ? bytesPerElement(dtype) : (otherBits.get(dtype) as number) / 8;
    const size = dims.reduce((product, dim) => product * dim, elementBytes);
    if (size !== end - begin) {
      const expected = `${size} bytes for ${dtype} of dims ${describeList(dims)}`;
      throw mismatch('ERR_MODEL_FORMAT', place, expected, `${end - begin}`);
    }
    position = end;
    yield;
  }
  if (position !== dataBytes) {
    throw mismatch('ERR_MODEL_FORMAT', `${position} bytes of data, all of them used`, `${dataBytes}`);
  }
}
