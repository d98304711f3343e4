/**
 * The messages of open_inference_grpc.proto (https://github.com/kserve/open-inference-protocol) and of grpc.health.v1, as tables;
 * fields in the order of their numbers.
 */
import { type Draft, type Message, many, one } from '../../formats/onnx/wire';

/** InferParameter: exactly one of its fields is set. */
const parameter = {
  bool: one(1, 'int'),
  int64: one(2, 'int'),
  string: one(3, 'string'),
  double: one(4, 'double'),
  uint64: one(5, 'int'),
};

/** map<string, InferParameter> */
const parameters = { key: one(1, 'string'), value: one(2, parameter) };

/** InferTensorContents: which field is used follows from the datatype. */
const contents = {
  bool: many(1, 'int'),
  int: many(2, 'int'),
  int64: many(3, 'int'),
  uint: many(4, 'int'),
  uint64: many(5, 'int'),
  fp32: many(6, 'float'),
  fp64: many(7, 'double'),
  bytes: many(8, 'bytes'),
};

/** ModelInferRequest.InferInputTensor and ModelInferResponse.InferOutputTensor */
const tensor = {
  name: one(1, 'string'),
  datatype: one(2, 'string'),
  shape: many(3, 'int'),
  parameters: many(4, parameters),
  contents: one(5, contents),
};

const requestedOutput = { name: one(1, 'string'), parameters: many(2, parameters) };

export const modelInferRequest = {
  modelName: one(1, 'string'),
  modelVersion: one(2, 'string'),
  id: one(3, 'string'),
  parameters: many(4, parameters),
  inputs: many(5, tensor),
  outputs: many(6, requestedOutput),
  rawInputs: many(7, 'bytes'),
};

export const modelInferResponse = {
  modelName: one(1, 'string'),
  modelVersion: one(2, 'string'),
  id: one(3, 'string'),
  parameters: many(4, parameters),
  outputs: many(5, tensor),
  rawOutputs: many(6, 'bytes'),
};

export const empty = {};

/** ServerLiveResponse, ServerReadyResponse, ModelReadyResponse */
export const flag = { value: one(1, 'int') };

/** ModelReadyRequest, ModelMetadataRequest */
export const modelRequest = { name: one(1, 'string'), version: one(2, 'string') };

export const serverMetadata = { name: one(1, 'string'), version: one(2, 'string'), extensions: many(3, 'string') };

const tensorMetadata = { name: one(1, 'string'), datatype: one(2, 'string'), shape: many(3, 'int') };

export const modelMetadata = {
  name: one(1, 'string'),
  versions: many(2, 'string'),
  platform: one(3, 'string'),
  inputs: many(4, tensorMetadata),
  outputs: many(5, tensorMetadata),
};

export const healthRequest = { service: one(1, 'string') };

/** `status` is of HealthCheckResponse.ServingStatus. */
export const healthResponse = { status: one(1, 'int') };

export const servingStatus = { serving: 1, notServing: 2 };

export type ModelInferRequest = Message<typeof modelInferRequest>;
export type ModelInferResponse = Draft<typeof modelInferResponse>;
export type InputTensor = ModelInferRequest['inputs'][number];
export type TensorContents = Message<typeof contents>;
export type ParameterList = ModelInferRequest['parameters'];
