import { failure, mismatch } from '../../errors';
import { info } from '../../info';
import type { Steps } from '../../slices';
import type { Metadata } from '../model-metadata';
import { type Graph, type ModelDraft, type ModelFile, modelFields } from './schema';
import { decodeSteps, encode, TooManyValues } from './wire';

/** Protocol buffers are limited to 2 GiB; this leaves enough for the rest of the file. */
const maxTensorBytes = 2 ** 31 - 2 ** 24;

/**
 * @param describe Makes the metadata of the rest of the file.
 * @param tensorBytes Bytes of all initializers.
 * @throws {QARepVGGError} ERR_LIMIT, ERR_OUT_OF_MEMORY
 */
export function encodeFile(
  graph: Graph,
  opset: number,
  describe: (file: ModelDraft) => Metadata,
  tensorBytes: number,
): Uint8Array {
  if (tensorBytes > maxTensorBytes) {
    throw mismatch('ERR_LIMIT', `at most ${maxTensorBytes} bytes of tensors`, `${tensorBytes}`);
  }
  const file = {
    irVersion: opset < 15 ? 7 : opset < 19 ? 8 : 10,
    producerName: 'qarepvgg',
    producerVersion: info().version,
    graph,
    opsets: [{ domain: '', version: opset }],
  };
  try {
    const metadata = Object.entries(describe(file)).map(([key, value]) => ({ key, value }));
    return encode(modelFields, { ...file, metadata });
  } catch (error) {
    const message = `out of memory, ${tensorBytes} bytes and some copies needed`;
    throw failure('ERR_OUT_OF_MEMORY', message, { cause: error });
  }
}

/** @throws {QARepVGGError} ERR_MODEL_FORMAT, ERR_LIMIT */
export function* decodeFile(bytes: Uint8Array): Steps<ModelFile> {
  try {
    return yield* decodeSteps(modelFields, bytes);
  } catch (error) {
    if (error instanceof TooManyValues) throw mismatch('ERR_LIMIT', 'an ONNX file of a network', error.message);
    const received = `a damaged file: ${(error as Error).message}`;
    throw failure('ERR_MODEL_FORMAT', `expected an ONNX file, received ${received}`, { cause: error });
  }
}
