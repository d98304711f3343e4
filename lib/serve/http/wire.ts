import { describe, describeList, mismatch, quote, within } from '../../errors';
import { unpackTexts } from '../classification';
import {
  allocate,
  bytesOf,
  countElements,
  type DataArray,
  type Datatype,
  elementSize,
  readDatatype,
  viewAs,
} from '../datatypes';
import type { InferResponse, RequestedOutput, WireTensor } from '../types';
import { parseJson } from './json';

/** Inference requests and responses as bytes: JSON, and the binary tensor extension. */

type Fields = Readonly<Record<string, unknown>>;

/** An inference request, read. */
export interface ParsedRequest {
  readonly id: string | undefined;
  readonly inputs: readonly WireTensor[];
  readonly outputs: readonly (RequestedOutput & { readonly binary: boolean })[] | undefined;
  /** For outputs that are not listed. */
  readonly binaryOutput: boolean;
  /** Microseconds. */
  readonly timeout: number | undefined;
}

const maxDims = 16;

/**
 * Reads the body of an inference request; `headerLength` is how much of it is JSON, all of it when undefined.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG, ERR_SHAPE, ERR_DTYPE, ERR_BUFFER_SIZE
 */
export function parseRequest(body: Buffer, headerLength: number | undefined): ParsedRequest {
  const end = headerLength ?? body.length;
  if (end > body.length) {
    throw mismatch(
      'ERR_INVALID_ARG',
      'Inference-Header-Content-Length',
      `at most ${body.length}, the length of the body`,
      `${end}`,
    );
  }
  const request = within('request', () => object(parseJson(body.subarray(0, end))));
  const parameters = within('request', () => readParameters(request.parameters));
  const { timeout } = parameters;
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout >= 0)) {
    throw mismatch('ERR_INVALID_ARG', 'parameter timeout', 'microseconds', describe(timeout));
  }
  if (request.id !== undefined && typeof request.id !== 'string') {
    throw mismatch('ERR_INVALID_ARG', 'id', 'a string', describe(request.id));
  }
  const binaryOutput = within('parameter binary_data_output', () => flag(parameters.binary_data_output, false));
  let offset = end;
  const inputs = readList('inputs', request.inputs, (value) => {
    const tensor = object(value);
    const common = { name: within('name', () => string(tensor.name)), ...readType(tensor) };
    const size = readParameters(tensor.parameters).binary_data_size;
    if (size === undefined) return { ...common, bytes: readData(tensor.data, common) };
    if (!Number.isSafeInteger(size) || (size as number) < 0 || (size as number) > body.length - offset) {
      const expected = `a size up to the ${body.length - offset} bytes that are left of the body`;
      throw mismatch('ERR_BUFFER_SIZE', 'binary_data_size', expected, describe(size));
    }
    if (tensor.data !== undefined) throw mismatch('ERR_INVALID_ARG', 'either data or binary_data_size', 'both');
    offset += size as number;
    return { ...common, bytes: body.subarray(offset - (size as number), offset) };
  });
  if (offset !== body.length) {
    throw mismatch('ERR_BUFFER_SIZE', 'body', `${offset} bytes, as its JSON says`, `${body.length}`);
  }
  const outputs =
    request.outputs === undefined
      ? undefined
      : readList('outputs', request.outputs, (value) => readOutput(value, binaryOutput));
  // An empty list asks for all, as in Triton.
  return { id: request.id, inputs, outputs: outputs?.length ? outputs : undefined, binaryOutput, timeout };
}

/** The response as the request wants it: JSON, or with binary tensors behind the JSON. */
export function formatResponse(
  response: InferResponse,
  request: Pick<ParsedRequest, 'id' | 'outputs' | 'binaryOutput'>,
): { headerLength: number | undefined; body: Buffer } {
  const binary: Uint8Array[] = [];
  const outputs = response.outputs.map(({ name, datatype, shape, bytes }, i) => {
    const common = { name, datatype, shape };
    if (!(request.outputs?.[i]?.binary ?? request.binaryOutput)) return { ...common, data: toJson(datatype, bytes) };
    binary.push(bytes);
    return { ...common, parameters: { binary_data_size: bytes.byteLength } };
  });
  const json = {
    model_name: response.modelName,
    model_version: response.modelVersion,
    ...(request.id !== undefined && { id: request.id }),
    outputs,
  };
  const text = JSON.stringify(json);
  if (binary.length === 0) return { headerLength: undefined, body: Buffer.from(text) };
  const headerLength = Buffer.byteLength(text);
  const body = Buffer.allocUnsafe(binary.reduce((sum, { byteLength }) => sum + byteLength, headerLength));
  let offset = body.write(text);
  for (const bytes of binary) {
    body.set(bytes, offset);
    offset += bytes.byteLength;
  }
  return { headerLength, body };
}

function toJson(datatype: Datatype, bytes: Uint8Array): unknown[] {
  if (datatype === 'BYTES') return unpackTexts(bytes);
  const values: unknown[] = Array.from<unknown>(viewAs(datatype, bytes) as never);
  if (datatype === 'BOOL') return values.map(Boolean);
  if (datatype === 'INT64' || datatype === 'UINT64') return values.map(Number);
  return values;
}

function readType(tensor: Fields): { datatype: Datatype; shape: number[] } {
  const shape = within('shape', () => list(tensor.shape));
  const isDim = (dim: unknown): boolean => Number.isSafeInteger(dim) && (dim as number) >= 0;
  if (shape.length > maxDims || !shape.every(isDim)) {
    throw mismatch('ERR_SHAPE', 'shape', `up to ${maxDims} whole numbers from 0`, describeList(shape));
  }
  return { datatype: within('datatype', () => readDatatype(tensor.datatype)), shape: shape as number[] };
}

/** Numbers of JSON, flat or nested, as bytes. */
function readData(data: unknown, { datatype, shape }: { datatype: Datatype; shape: number[] }): Uint8Array {
  if (datatype === 'FP16' || datatype === 'BF16' || datatype === 'BYTES') {
    throw mismatch('ERR_DTYPE', `${datatype} as binary data`, 'JSON');
  }
  const length = within('shape', () => countElements(shape));
  const values = within('data', () => list(data));
  // The numbers are counted before memory is taken for them.
  const count = countNumbers(values);
  if (count !== length) throw mismatch('ERR_BUFFER_SIZE', 'data', `${length} numbers, as the shape says`, `${count}`);
  const array = allocate(datatype, length);
  const isBig = elementSize(datatype) === 8 && datatype !== 'FP64';
  fill(
    array,
    values,
    0,
    isBig ? readBigInt : datatype === 'BOOL' ? readBoolean : datatype.startsWith('FP') ? readNumber : integerOf(array),
  );
  return bytesOf(array);
}

/** The JSON reader bounds the depth. */
function countNumbers(values: readonly unknown[]): number {
  if (!Array.isArray(values[0])) return values.length;
  return values.reduce<number>((sum, value) => sum + (Array.isArray(value) ? countNumbers(value) : 1), 0);
}

type Read = (value: unknown) => unknown;

function fill(array: DataArray, values: readonly unknown[], start: number, read: Read): number {
  let offset = start;
  for (const value of values) {
    if (Array.isArray(value)) offset = fill(array, value, offset, read);
    else (array as unknown as unknown[])[offset++] = read(value);
  }
  return offset;
}

function readNumber(value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw mismatch('ERR_INVALID_ARG', 'data', 'finite numbers', describe(value));
}

function integerOf(array: DataArray): Read {
  const bits = array.BYTES_PER_ELEMENT * 8;
  const isSigned = array.constructor.name.startsWith('Int');
  const [low, high] = isSigned ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
  return (value) => {
    if (Number.isInteger(value) && (value as number) >= low && (value as number) <= high) return value;
    throw mismatch('ERR_INVALID_ARG', 'data', `whole numbers from ${low} to ${high}`, describe(value));
  };
}

function readBigInt(value: unknown): bigint {
  if (Number.isSafeInteger(value)) return BigInt(value as number);
  throw mismatch('ERR_INVALID_ARG', 'data', 'whole numbers below 2 ** 53', describe(value));
}

function readBoolean(value: unknown): number {
  if (value === true || value === 1) return 1;
  if (value === false || value === 0) return 0;
  throw mismatch('ERR_INVALID_ARG', 'data', 'true or false', describe(value));
}

function readOutput(value: unknown, binaryOutput: boolean) {
  const output = object(value);
  const name = within('name', () => string(output.name));
  const parameters = readParameters(output.parameters);
  const binary = within('binary_data', () => flag(parameters.binary_data, binaryOutput));
  const { classification } = parameters;
  if (classification === undefined || classification === 0) return { name, binary };
  if (!Number.isSafeInteger(classification) || (classification as number) < 1) {
    throw mismatch('ERR_INVALID_ARG', 'classification', 'a number of classes', describe(classification));
  }
  return { name, binary, classification: classification as number };
}

function readParameters(value: unknown): Fields {
  return value === undefined ? {} : within('parameters', () => object(value));
}

function object(value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw mismatch('ERR_INVALID_ARG', 'an object', describe(value));
}

/** A list of objects whose errors begin with their index: "inputs[1], shape". */
function readList<T>(name: string, value: unknown, read: (item: unknown) => T): T[] {
  const items = within(name, () => list(value));
  return items.map((item, i) => within(`${name}[${i}]`, () => read(item)));
}

function list(value: unknown): unknown[] {
  if (Array.isArray(value)) return value as unknown[];
  throw mismatch('ERR_INVALID_ARG', 'an array', describe(value));
}

function string(value: unknown): string {
  if (typeof value === 'string') return value;
  throw mismatch('ERR_INVALID_ARG', 'a string', describe(value));
}

function flag(value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value === 'boolean') return value;
  throw mismatch('ERR_INVALID_ARG', 'true or false', describe(value));
}

/** How much of a body is JSON; undefined without the header. @throws {QARepVGGError} ERR_INVALID_ARG */
export function readHeaderLength(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && /^\d{1,10}$/.test(value)) return Number(value);
  throw mismatch('ERR_INVALID_ARG', 'Inference-Header-Content-Length', 'a number of bytes', quote(String(value)));
}
