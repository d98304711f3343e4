import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { QARepVGGError, quote } from '../../errors';
import { decode, type Fields, type Message } from '../../formats/onnx/wire';
import { Cancellation } from '../cancellation';
import { tokenCheck } from '../http/auth';
import type { Context } from '../http/context';
import { extensions } from '../http/metadata';
import { empty, healthRequest, modelInferRequest, modelRequest, servingStatus } from './messages';
import { grpcError } from './status';
import { formatResponse, parseRequest } from './tensors';

type Call = ServerUnaryCall<Buffer, object>;

const inferenceServiceName = 'inference.GRPCInferenceService';

/** The handlers of inference.GRPCInferenceService. */
export function inferenceHandlers(context: Context) {
  const { registry, version, options } = context;
  const isToken = options.token === undefined ? () => true : tokenCheck(options.token);
  const guarded = <F extends Fields>(fields: F, run: (message: Message<F>, call: Call) => object | Promise<object>) =>
    answer(fields, (message, call) => {
      if (isToken(call.metadata.get('authorization')[0]?.toString())) return run(message, call);
      throw new QARepVGGError(
        'ERR_UNAUTHORIZED',
        'the token is missing or wrong; send the metadata "authorization: Bearer TOKEN" with the token of this server',
      );
    });
  return {
    ServerLive: answer(empty, () => ({ value: 1 })),
    ServerReady: answer(empty, () => ({ value: Number(registry.isReady) })),
    ModelReady: guarded(modelRequest, ({ name = '', version: of }) => {
      registry.get(name, of);
      return { value: Number(registry.isReady) };
    }),
    ServerMetadata: guarded(empty, () => ({ name: 'qarepvgg', version, extensions: grpcExtensions })),
    ModelMetadata: guarded(modelRequest, ({ name = '', version: of }) => registry.get(name, of).metadata()),
    ModelInfer: guarded(modelInferRequest, (request, call) => infer(context, request, call)),
  };
}

/** Over gRPC, tensors are raw anyway, and models are loaded over HTTP. */
const grpcExtensions = extensions.filter((name) => name === 'classification');

/** A handler of a unary call; whatever it throws becomes a status. */
function answer<F extends Fields>(fields: F, run: (message: Message<F>, call: Call) => object | Promise<object>) {
  return async (call: Call, callback: sendUnaryData<object>): Promise<void> => {
    try {
      callback(null, await run(decodeRequest(fields, call.request), call));
    } catch (error) {
      callback(grpcError(error));
    }
  };
}

function decodeRequest<F extends Fields>(fields: F, bytes: Buffer): Message<F> {
  try {
    return decode(fields, bytes);
  } catch (cause) {
    throw new QARepVGGError('ERR_INVALID_ARG', `request: ${(cause as Error).message}`, { cause });
  }
}

async function infer({ registry }: Context, request: Message<typeof modelInferRequest>, call: Call): Promise<object> {
  const begun = performance.now();
  const model = registry.get(request.modelName ?? '', request.modelVersion);
  const hold = registry.memory.open();
  try {
    const { inputs, outputs, timeout, isRaw } = admit(() => {
      if (model.isFull) throw new QARepVGGError('ERR_BUSY', 'the queue of the model is full; try again later');
      hold.take(call.request.length);
      return parseRequest(request);
    });
    const deadlines = [deadlineOf(call, begun), ...(timeout ? [begun + timeout / 1000] : [])];
    const response = await model.infer({
      inputs,
      outputs,
      deadline: Math.min(...deadlines),
      cancellation: cancellationOf(call),
    });
    return formatResponse(response, request.id, isRaw);
  } finally {
    hold.release();
  }

  /** A request refused before it reaches the model counts as a failure of that model. */
  function admit<T>(check: () => T): T {
    try {
      return check();
    } catch (error) {
      model.statistics.failure(error, performance.now() - begun);
      throw error;
    }
  }
}

/** By `performance.now()`; Infinity where the client set none. */
function deadlineOf(call: Call, now: number): number {
  const deadline = call.getDeadline();
  return now + Number(deadline) - Date.now();
}

/** Fires when the client cancels its call, or when its connection is lost. */
function cancellationOf(call: Call): Cancellation {
  const cancellation = new Cancellation();
  if (call.cancelled) cancellation.cancel();
  call.once('cancelled', () => cancellation.cancel());
  return cancellation;
}

/** The handlers of grpc.health.v1.Health. */
export function healthHandlers(context: Context) {
  return { Check: answer(healthRequest, ({ service }) => health(context, service)) };
}

function health({ registry }: Context, service = ''): object {
  if (service !== '' && service !== inferenceServiceName) {
    throw new QARepVGGError('ERR_NOT_FOUND', `no service named ${quote(service)}`);
  }
  return { status: registry.isReady ? servingStatus.serving : servingStatus.notServing };
}
