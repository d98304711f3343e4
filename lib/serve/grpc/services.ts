import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { encode, type Fields } from '../../formats/onnx/wire';
import { flag, healthResponse, modelInferResponse, modelMetadata, serverMetadata } from './messages';

/**
 * A unary method. Requests stay bytes: the handler decodes them, so that it counts malformed ones and answers INVALID_ARGUMENT.
 */
function unary(path: string, response: Fields): MethodDefinition<Buffer, object> {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes) => bytes,
    requestDeserialize: (bytes) => bytes,
    responseSerialize: (message) => Buffer.from(encode(response, message)),
    responseDeserialize: (bytes) => bytes,
  };
}

const inference = (name: string, response: Fields) => unary(`/inference.GRPCInferenceService/${name}`, response);

/** inference.GRPCInferenceService */
export const inferenceService = {
  ServerLive: inference('ServerLive', flag),
  ServerReady: inference('ServerReady', flag),
  ModelReady: inference('ModelReady', flag),
  ServerMetadata: inference('ServerMetadata', serverMetadata),
  ModelMetadata: inference('ModelMetadata', modelMetadata),
  ModelInfer: inference('ModelInfer', modelInferResponse),
} satisfies ServiceDefinition;

/** grpc.health.v1.Health without Watch: clients that cannot watch take a server for healthy. */
export const healthService = {
  Check: unary('/grpc.health.v1.Health/Check', healthResponse),
} satisfies ServiceDefinition;
