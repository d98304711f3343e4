import { describe, mismatch, type QARepVGGError, quote, within } from '../errors';
import { allocate, type DataArray, type Datatype, elementSize, isDatatype, viewAs } from '../serve/datatypes';
import { decodeStrings } from '../serve/strings';
import { lengthHeader, type Reply } from './http';
import type { Inference, Parameters, RemoteTensor } from './types';

type Fields = Readonly<Record<string, unknown>>;

/** The error of an answer that breaks the protocol. */
export function unexpected(expected: string, received: string): QARepVGGError {
  return mismatch('ERR_PROTOCOL', 'answer', expected, received);
}

/** @throws {QARepVGGError} ERR_PROTOCOL where the body is not a JSON object. */
export function readObject(bytes: Buffer): Fields {
  const value = readJson(bytes);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw unexpected('a JSON object', describe(value));
}

export function readJson(bytes: Buffer): unknown {
  const text = bytes.toString();
  try {
    return JSON.parse(text);
  } catch {
    throw unexpected('JSON', quote(text));
  }
}

/** @throws {QARepVGGError} ERR_PROTOCOL */
export function decodeInference({ headers, body }: Reply): Inference {
  const length = headerLength(headers[lengthHeader], body.length);
  const answer = readObject(body.subarray(0, length));
  let rest = body.subarray(length);
  const outputs = asList(answer.outputs, 'a list of outputs').map((item): [string, RemoteTensor] => {
    const { name, tensor, used } = decodeTensor(item, rest);
    rest = rest.subarray(used);
    return [name, tensor];
  });
  if (rest.length > 0) throw unexpected('tensors only', `${rest.length} more bytes`);
  const { model_name: model, model_version: version, id, parameters } = answer;
  return {
    // The specification's own example has none.
    model: typeof model === 'string' ? model : '',
    ...(typeof version === 'string' && { version }),
    ...(typeof id === 'string' && { id }),
    ...(typeof parameters === 'object' && parameters !== null && { parameters: parameters as Parameters }),
    outputs: Object.fromEntries(outputs),
  };
}

function headerLength(header: unknown, bodyLength: number): number {
  if (header === undefined) return bodyLength;
  const length = Number(header);
  if (/^\d+$/.test(String(header)) && length <= bodyLength) return length;
  throw unexpected(`a JSON length of at most ${bodyLength} bytes`, describe(header));
}

/** Decodes an output, of which bytes may be the first of `rest`; `used` says how many were. */
function decodeTensor(item: unknown, rest: Buffer) {
  const { name, datatype, shape, data, parameters } = (item ?? {}) as Fields;
  if (typeof name !== 'string') throw unexpected('an output with a name', describe(name));
  return within(name, () => {
    if (!isDatatype(datatype)) throw unexpected('a datatype of the protocol', describe(datatype));
    const dims = asList(shape, 'a shape') as number[];
    const isShape = dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0);
    if (!isShape) throw unexpected('a shape of integers from 0', describe(dims.find((dim) => !(dim >= 0))));
    const size = (parameters as Fields | undefined)?.binary_data_size;
    const isBinary = data === undefined;
    if (isBinary && !(Number.isSafeInteger(size) && (size as number) >= 0 && (size as number) <= rest.length)) {
      throw unexpected(`data, or a binary_data_size of at most ${rest.length}`, describe(size));
    }
    const used = isBinary ? (size as number) : 0;
    const elements = isBinary ? fromBytes(datatype, rest.subarray(0, used)) : fromJson(datatype, data);
    const count = dims.reduce((a, b) => a * b, 1);
    if (elements.length !== count) throw unexpected(`${count} elements`, `${elements.length}`);
    return { name, tensor: { data: elements, dims, type: datatype }, used };
  });
}

function asList(value: unknown, expected: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw unexpected(expected, describe(value));
}

function fromBytes(type: Datatype, bytes: Buffer): DataArray | Uint8Array[] {
  if (type === 'BYTES') {
    const strings = decodeStrings(bytes);
    if (strings) return strings;
    throw unexpected('strings, each after its length', `${bytes.length} other bytes`);
  }
  const size = elementSize(type);
  if (bytes.length % size !== 0) throw unexpected(`a multiple of ${size} bytes`, `${bytes.length}`);
  return viewAs(type, bytes);
}

/** The elements of a list, flat or nested. */
function fromJson(type: Datatype, data: unknown): DataArray | Uint8Array[] {
  const items = asList(data, 'a list').flat(Number.POSITIVE_INFINITY);
  if (type === 'BYTES') return items.map((item) => Buffer.from(stringOf(item)));
  return numbersFrom(type, items);
}

function stringOf(item: unknown): string {
  if (typeof item === 'string') return item;
  throw unexpected('strings', describe(item));
}

function numbersFrom(type: Datatype, items: readonly unknown[]): DataArray {
  if (type === 'FP16' || type === 'BF16') throw unexpected(`bytes for ${type}`, 'JSON');
  const isBig = type === 'INT64' || type === 'UINT64';
  const array = allocate(type, items.length);
  items.forEach((item, i) => {
    const number = type === 'BOOL' && typeof item === 'boolean' ? Number(item) : item;
    // JSON.parse may have rounded larger integers.
    const isExact = typeof number === 'number' && (!isBig || Number.isSafeInteger(number));
    if (!isExact) throw unexpected(`numbers of ${type}`, describe(item));
    array[i] = isBig ? BigInt(number) : number;
  });
  return array;
}
