import { describe, mismatch, quote, within } from '../../errors';
import { isArray, readForeign } from '../../options';
import { checkElements, readTensor, type TensorLike } from '../../tensor';
import {
  arrayName,
  arrayOf,
  bytesPerElement,
  type Dtype,
  dtypes,
  holds,
  isDtype,
  type RawTensor,
  rawTensor,
} from '../dtypes';
import { allocateBytes } from '../files';
import { maxHeaderBytes, prefixBytes } from './header';
import { maxMembers } from './json';

/** Tensors to be written, by name. Without a `dtype` they are float32. */
export type WritableTensors = Readonly<Record<string, TensorLike | RawTensor>>;

/**
 * Returns the bytes of a safetensors file. The same tensors and metadata make the same bytes, whatever the order of their keys:
 * tensors are sorted by the width of their elements, so that all are aligned, then by name. The header is padded to a multiple of
 * 8 bytes.
 *
 * @throws {QARepVGGError} the errors of {@link checkElements} for a tensor; ERR_INVALID_ARG for names and metadata; ERR_LIMIT when the
 * header grows beyond what the reader accepts; ERR_OUT_OF_MEMORY.
 */
export function serializeSafetensors(
  tensors: WritableTensors,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  // Everything that may run the caller's code comes first.
  const given = within('tensors', () => readMembers(tensors)).map(([name, value]) => readNamed(name, value));
  const notes = within('metadata', () => readMembers(metadata)).map(([key, value]) => checkNote(key, value));
  const checked = given.map(({ name, dtype, data, dims }) => ({
    name: checkName(name),
    tensor: within(`tensor ${quote(name)}`, () => checkRaw(dtype, data, dims)),
  }));
  checked.sort(
    (a, b) => dtypes.indexOf(b.tensor.dtype) - dtypes.indexOf(a.tensor.dtype) || compareUtf8(a.name, b.name),
  );

  let position = 0;
  const entries = checked.map(({ name, tensor: { dtype, dims } }): [string, WrittenEntry] => {
    const begin = position;
    position += dims.reduce((size, dim) => size * dim, bytesPerElement(dtype));
    return [name, { dtype, shape: dims, data_offsets: [begin, position] }];
  });
  const header = encodeHeader(entries, notes);
  const file = allocateBytes(prefixBytes + header.length + position);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, prefixBytes);
  const data = file.subarray(prefixBytes + header.length);
  entries.forEach(([, { dtype, data_offsets }], i) => {
    // A view, because everything is aligned. `set` reads the source's memory, not properties that the caller may have added. The
    // cast is there because TypeScript cannot know that both sides have the same class.
    const target = arrayOf(dtype, data.subarray(...data_offsets)) as Float32Array;
    target.set(checked[i]?.tensor.data as Float32Array);
  });
  return file;
}

/** An entry of the header; its members are in the order of the reference implementation. */
interface WrittenEntry {
  readonly dtype: Dtype;
  readonly shape: number[];
  readonly data_offsets: [begin: number, end: number];
}

/** Writes JSON by hand, because a JavaScript object would put names that look like numbers first. */
function encodeHeader(entries: [string, WrittenEntry][], notes: [string, string][]): Uint8Array {
  const members = entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  if (notes.length > 0) {
    notes.sort(([a], [b]) => compareUtf8(a, b));
    const pairs = notes.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
    members.unshift(`"__metadata__":{${pairs.join(',')}}`);
  }
  const header = Buffer.from(`{${members.join(',')}}`);
  const length = Math.ceil(header.length / 8) * 8;
  if (entries.length >= maxMembers) {
    throw mismatch('ERR_LIMIT', `fewer than ${maxMembers} tensors`, `${entries.length}`);
  }
  if (length > maxHeaderBytes) {
    throw mismatch('ERR_LIMIT', `names and metadata of at most ${maxHeaderBytes} bytes`, `${length}`);
  }
  return Buffer.concat([header, Buffer.alloc(length - header.length, ' ')]);
}

function readMembers(value: unknown): [string, unknown][] {
  if (typeof value !== 'object' || value === null || isArray(value)) {
    throw mismatch('ERR_INVALID_ARG', 'an object', describe(value));
  }
  return readForeign(() => Object.entries(value));
}

function readNamed(name: string, value: unknown) {
  return within(`tensor ${quote(name)}`, () => {
    const { data, dims } = readTensor(value);
    const dtype = readForeign(() => (value as { dtype?: unknown }).dtype ?? 'F32');
    return { name, dtype, data, dims };
  });
}

function checkName(name: string): string {
  if (name === '__metadata__' || !isUnicode(name)) {
    throw mismatch('ERR_INVALID_ARG', 'a name of Unicode text other than "__metadata__"', quote(name));
  }
  return name;
}

function checkNote(key: string, value: unknown): [string, string] {
  if (typeof value !== 'string' || !isUnicode(key) || !isUnicode(value)) {
    throw mismatch('ERR_INVALID_ARG', `metadata ${quote(key)}`, 'Unicode text', describe(value));
  }
  return [key, value];
}

function isUnicode(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

function checkRaw(dtype: unknown, data: unknown, dims: unknown): RawTensor {
  if (!isDtype(dtype)) {
    throw mismatch('ERR_DTYPE', ' dtype', dtypes.join(', '), describe(dtype));
  }
  const isOfClass = (value: unknown): value is NodeJS.TypedArray => holds(dtype, value);
  const checked = checkElements(data, dims, [isOfClass, `a ${arrayName(dtype)}`], 0);
  return rawTensor(dtype, checked.data, checked.dims);
}

/** The order of the reference implementation, which compares bytes of UTF-8, not UTF-16. */
function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
