import type { FastifyInstance } from 'fastify';
import { boundary, describeList, mismatch, QARepVGGError } from '../../errors';
import { countElements, elementSize } from '../datatypes';
import type { ServedModel } from '../model';
import { readBody } from './body';
import { beginVisit, type Context, modelOf, modelRoute } from './context';
import { formatResponse, type ParsedRequest, parseRequest, readHeaderLength } from './wire';

const headerName = 'inference-header-content-length';

/** Inference: JSON, the binary tensor extension, and raw binary requests. */
export async function infer(app: FastifyInstance, context: Context): Promise<void> {
  const { maxBody } = context.options;
  modelRoute(app, 'POST', '/infer', async (request, reply) => {
    const model = modelOf(request, context);
    const { hold, cancellation } = beginVisit(reply, context);
    const arrived = performance.now();
    const parsed = await admitted(model, async () => {
      const headerLength = readHeaderLength(request.headers[headerName]);
      const body = await readBody(request, hold, { limit: maxBody, headerLength });
      return headerLength === 0 ? rawRequest(model, body) : parseRequest(body, headerLength);
    });
    const { inputs, outputs, timeout } = parsed;
    const deadline = timeout ? arrived + timeout / 1000 : undefined;
    const response = await model.infer({ inputs, outputs, deadline, cancellation });
    const { headerLength, body } = formatResponse(response, parsed);
    if (headerLength === undefined) return reply.type('application/json').send(body);
    return reply.type('application/octet-stream').header(headerName, headerLength).send(body);
  });
}

/**
 * What `read` makes of a request. It is refused while the queue is full. A malformed request counts as a failure of the
 * model.
 */
export async function admitted<T>(model: ServedModel, read: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  try {
    if (model.isFull) throw new QARepVGGError('ERR_BUSY', 'the queue of the model is full; try again later');
    return await read();
  } catch (error) {
    model.statistics.failure(error, performance.now() - begun);
    throw error;
  }
}

/** A body that holds only the one input, with a batch of 1: all outputs come back binary. */
function rawRequest({ engine }: ServedModel, bytes: Buffer): ParsedRequest {
  return boundary('raw binary request', () => {
    const [input, ...others] = engine.inputs;
    if (!input || others.length > 0)
      throw mismatch('ERR_INVALID_ARG', 'a model of one input', `${engine.inputs.length}`);
    const { name, datatype } = input;
    const inputs = [{ name, datatype, shape: rawShape(input.shape, elementSize(datatype), bytes.length), bytes }];
    return { id: undefined, inputs, outputs: undefined, binaryOutput: true, timeout: undefined };
  });
}

/** The batch is 1; one further open dim follows from the number of bytes. */
function rawShape(shape: readonly number[], size: number, length: number): number[] {
  const dims = shape.map((dim, i) => (i === 0 && dim === -1 ? 1 : dim));
  const open = dims.filter((dim) => dim === -1).length;
  if (open > 1) throw mismatch('ERR_SHAPE', 'at most one open dim in the input', describeList(shape));
  const rest = countElements(dims.map((dim) => (dim === -1 ? 1 : dim))) * size;
  return dims.map((dim) => (dim === -1 ? Math.floor(length / rest) : dim));
}
