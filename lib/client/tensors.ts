import { types } from 'node:util';
import { describe, describeList, mismatch } from '../errors';
import { readForeign } from '../options';
import { bytesOf, type DataArray, type Datatype } from '../serve/datatypes';
import { encodeStrings } from '../serve/strings';
import type { Parameters, RemoteData } from './types';

/** A tensor in a request's JSON, and its bytes where they follow it. */
export interface EncodedTensor {
  readonly json: string;
  readonly bytes?: Uint8Array;
}

interface Checked {
  readonly data: RemoteData;
  readonly dims: readonly number[];
  readonly type: Datatype;
}

/** @throws {QARepVGGError} ERR_INVALID_ARG, ERR_DTYPE or ERR_SHAPE naming what is wrong with the tensor. */
export function encodeTensor(name: string, value: unknown, binary: boolean): EncodedTensor {
  const { data, dims, type } = checkTensor(value);
  const head = `"name":${JSON.stringify(name)},"datatype":"${type}","shape":[${dims.join()}]`;
  if (!binary) return { json: `{${head},"data":[${elementsAsJson(data, type)}]}` };
  const bytes = types.isTypedArray(data) ? bytesOf(data) : encodeStrings(data as readonly (string | Uint8Array)[]);
  return { json: `{${head},"parameters":{"binary_data_size":${bytes.length}}}`, bytes };
}

function checkTensor(value: unknown): Checked {
  if (typeof value !== 'object' || value === null) {
    throw mismatch('ERR_INVALID_ARG', 'a tensor { data, dims }', describe(value));
  }
  const tensor = readForeign(() => {
    const { data, dims, type } = value as { data?: unknown; dims?: unknown; type?: unknown };
    return { data, dims: Array.isArray(dims) ? [...dims] : dims, type };
  });
  const dims = checkDims(tensor.dims);
  const data = checkData(tensor.data);
  const type = checkType(data, tensor.type);
  const count = dims.reduce((a, b) => a * b, 1);
  if (data.length !== count) {
    throw mismatch('ERR_SHAPE', ' data', `${count} elements for ${describeList(dims)}`, `${data.length}`);
  }
  return { data, dims, type };
}

function checkDims(dims: unknown): number[] {
  if (Array.isArray(dims) && dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) return dims;
  throw mismatch('ERR_SHAPE', ' dims', 'an array of integers from 0', describe(dims));
}

function checkData(data: unknown): RemoteData {
  if (types.isTypedArray(data)) {
    if (!types.isUint8ClampedArray(data)) return data as DataArray;
  } else if (Array.isArray(data) && data.every((item) => typeof item === 'string' || types.isUint8Array(item))) {
    return data;
  }
  throw mismatch('ERR_DTYPE', ' data', 'a typed array, or a list of strings or Uint8Arrays', describe(data));
}

/** What typed arrays may hold; the first unless the caller says otherwise. */
const typesOf: Readonly<Record<string, readonly Datatype[]>> = {
  Uint8Array: ['UINT8', 'BOOL'],
  Uint16Array: ['UINT16', 'FP16', 'BF16'],
  Uint32Array: ['UINT32'],
  BigUint64Array: ['UINT64'],
  Int8Array: ['INT8'],
  Int16Array: ['INT16'],
  Int32Array: ['INT32'],
  BigInt64Array: ['INT64'],
  Float16Array: ['FP16'],
  Float32Array: ['FP32'],
  Float64Array: ['FP64'],
};

function checkType(data: RemoteData, given: unknown): Datatype {
  const known = types.isTypedArray(data) ? (typesOf[data[Symbol.toStringTag]] ?? []) : ['BYTES' as const];
  const type = given === undefined ? known[0] : known.find((one) => one === given);
  if (type) return type;
  throw mismatch('ERR_DTYPE', ' type', `a type for data of ${known[0]}`, describe(given));
}

function elementsAsJson(data: RemoteData, type: Datatype): string {
  if (type === 'FP16' || type === 'BF16') {
    throw mismatch('ERR_DTYPE', 'the option binary, as JSON has no such type', type);
  }
  if (type === 'BYTES') {
    const strings = data as readonly (string | Uint8Array)[];
    return strings.map((item) => JSON.stringify(typeof item === 'string' ? item : Buffer.from(item).toString())).join();
  }
  if (type === 'BOOL') return Array.from(data as Uint8Array, (item) => item !== 0).join();
  if (types.isFloat32Array(data) || types.isFloat64Array(data)) {
    const bad = data.find((item) => !Number.isFinite(item));
    if (bad !== undefined) throw mismatch('ERR_NON_FINITE', ' data', 'finite numbers in JSON', `${bad}`);
  }
  return data.join();
}

/** The `parameters` of a request in JSON; nothing where there are none. */
export function parametersJson(parameters: Parameters): string {
  return Object.keys(parameters).length === 0 ? '' : `,"parameters":${JSON.stringify(parameters)}`;
}
