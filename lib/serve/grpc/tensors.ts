import { describe, mismatch, quote, within } from '../../errors';
import { allocate, bytesOf, countElements, type Datatype, readDatatype, viewAs } from '../datatypes';
import { decodeStrings, encodeStrings } from '../strings';
import type { InferResponse, RequestedOutput, WireTensor } from '../types';
import type { InputTensor, ModelInferRequest, ModelInferResponse, ParameterList, TensorContents } from './messages';

/** An inference request, read. */
export interface ParsedRequest {
  readonly inputs: readonly WireTensor[];
  readonly outputs: readonly RequestedOutput[] | undefined;
  /** Microseconds. */
  readonly timeout: number | undefined;
  /** Whether tensors are raw bytes, both ways. */
  readonly isRaw: boolean;
}

/** Where a datatype lies in a message; FP16 and BF16 are raw only. */
const fieldOf: Partial<Record<Datatype, keyof TensorContents>> = {
  BOOL: 'bool',
  INT8: 'int',
  INT16: 'int',
  INT32: 'int',
  INT64: 'int64',
  UINT8: 'uint',
  UINT16: 'uint',
  UINT32: 'uint',
  UINT64: 'uint64',
  FP32: 'fp32',
  FP64: 'fp64',
  BYTES: 'bytes',
};

/** @throws {QARepVGGError} ERR_INVALID_ARG, ERR_SHAPE, ERR_DTYPE, ERR_BUFFER_SIZE */
export function parseRequest({ inputs, outputs, parameters, rawInputs }: ModelInferRequest): ParsedRequest {
  const isRaw = rawInputs.length > 0;
  if (isRaw && rawInputs.length !== inputs.length) {
    throw mismatch(
      'ERR_INVALID_ARG',
      'raw_input_contents',
      `${inputs.length}, one for each input`,
      `${rawInputs.length}`,
    );
  }
  const timeout = parameter(parameters, 'timeout');
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout >= 0)) {
    throw mismatch('ERR_INVALID_ARG', 'parameter timeout', 'microseconds', describe(timeout));
  }
  return {
    isRaw,
    timeout,
    inputs: inputs.map((input, i) => within(`inputs[${i}]`, () => readInput(input, rawInputs[i]))),
    outputs: outputs.length === 0 ? undefined : outputs.map(readOutput),
  };
}

function readInput({ name = '', datatype, shape, contents }: InputTensor, raw: Uint8Array | undefined): WireTensor {
  const type = within('datatype', () => readDatatype(datatype));
  if (shape.some((dim) => dim < 0)) throw mismatch('ERR_SHAPE', 'shape', 'whole numbers from 0', `[${shape}]`);
  if (!raw) return { name, datatype: type, shape, bytes: packContents(type, shape, contents) };
  if (contents) throw mismatch('ERR_INVALID_ARG', 'contents or raw_input_contents', 'both');
  return { name, datatype: type, shape, bytes: raw };
}

function packContents(type: Datatype, shape: readonly number[], contents: TensorContents | undefined): Uint8Array {
  const field = fieldOf[type];
  if (!field) throw mismatch('ERR_DTYPE', `raw_input_contents for ${type}`, 'none');
  const values = contents?.[field] ?? [];
  const count = within('shape', () => countElements(shape));
  if (values.length !== count) {
    const expected = `${count} values in ${field}_contents, as the shape says`;
    throw mismatch('ERR_BUFFER_SIZE', expected, `${values.length}`);
  }
  if (type === 'BYTES') return encodeStrings(values as readonly Uint8Array[]);
  const array = allocate(type, count);
  const isBig = field === 'int64' || field === 'uint64';
  (values as readonly number[]).forEach((value, at) => {
    (array as unknown as unknown[])[at] = isBig ? BigInt(value) : value;
    const kept = Number(array[at]);
    const isKept = kept === value || field === 'fp32' || field === 'fp64' || field === 'bool';
    if (!isKept) throw mismatch('ERR_INVALID_ARG', `values of ${type}`, `${value}`);
  });
  return bytesOf(array);
}

function readOutput({ name = '', parameters }: ModelInferRequest['outputs'][number]): RequestedOutput {
  const count = parameter(parameters, 'classification');
  if (count === undefined || count === 0) return { name };
  if (Number.isSafeInteger(count) && (count as number) > 0) return { name, classification: count as number };
  throw mismatch('ERR_INVALID_ARG', `output ${quote(name)}, classification`, 'a number of classes', describe(count));
}

function parameter(list: ParameterList, name: string): string | number | boolean | undefined {
  const value = list.find(({ key }) => key === name)?.value;
  if (value?.bool !== undefined) return value.bool !== 0;
  return value && (value.int64 ?? value.uint64 ?? value.double ?? value.string);
}

export function formatResponse(response: InferResponse, id: string | undefined, isRaw: boolean): ModelInferResponse {
  const { modelName, modelVersion, outputs } = response;
  return {
    modelName,
    modelVersion,
    id,
    outputs: outputs.map(({ name, datatype, shape, bytes }) => ({
      name,
      datatype,
      shape,
      ...(!isRaw && { contents: unpackContents(datatype, bytes) }),
    })),
    rawOutputs: isRaw ? outputs.map(({ bytes }) => bytes) : [],
  };
}

function unpackContents(type: Datatype, bytes: Uint8Array) {
  if (type === 'BYTES') return { bytes: decodeStrings(bytes) ?? [] };
  const field = fieldOf[type];
  if (!field)
    throw mismatch(
      'ERR_DTYPE',
      'outputs',
      `raw_input_contents, as outputs of type ${type} have no other form`,
      'contents',
    );
  return { [field]: Array.from(viewAs(type, bytes) as ArrayLike<number | bigint>, Number) };
}
