import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { InferenceSession, QARepVGGError } from '../../lib';
import type { Server } from '../../lib/serve';
import { grpcError } from '../../lib/serve/grpc/status';
import { servers } from '../support/serving';

/** A client that knows the protocol from its .proto file alone. */
type Client = grpc.Client & Record<string, (request: object, ...rest: unknown[]) => grpc.ClientUnaryCall>;

const start = servers();
const image = Float32Array.from({ length: 784 }, (_, i) => Math.sin(i));
const clients: Client[] = [];
let server: Server;
let inference: Client;
let health: Client;
let logits: Float32Array;

function clientOf(file: string, name: string, port = server.grpcPort): Client {
  const loaded = loadSync(path.join(__dirname, '../fixtures/grpc', file), {
    keepCase: true,
    longs: Number,
    defaults: true,
  });
  const service = name
    .split('.')
    .reduce((at, part) => (at as never)[part], grpc.loadPackageDefinition(loaded) as unknown);
  const client = new (service as new (...args: unknown[]) => Client)(
    `127.0.0.1:${port}`,
    grpc.credentials.createInsecure(),
  );
  clients.push(client);
  return client;
}

/** Calls a method; fails as gRPC does, with `code` and `details`. */
function call<T = Record<string, unknown>>(
  client: Client,
  method: string,
  request: object,
  ...rest: unknown[]
): Promise<T> {
  return new Promise((resolve, reject) => {
    const done = (error: unknown, response: T) => (error ? reject(error) : resolve(response));
    client[method]?.(request, ...rest, done);
  });
}

beforeAll(async () => {
  server = await start({ grpcPort: 0, maxBody: 2 ** 20 });
  inference = clientOf('open_inference_grpc.proto', 'inference.GRPCInferenceService');
  health = clientOf('health.proto', 'grpc.health.v1.Health');
  const session = await InferenceSession.create(readFileSync('models/fashion-mnist.safetensors'));
  logits = (await session.run({ input: { data: image, dims: [1, 1, 28, 28] } })).logits?.data as Float32Array;
  session.dispose();
});
afterAll(() => {
  for (const client of clients) client.close();
});

const input = { name: 'input', datatype: 'FP32', shape: [1, 1, 28, 28] };
const raw = [Buffer.from(image.buffer)];
const request = { model_name: 'fashion-mnist', inputs: [input], raw_input_contents: raw };

interface Answer {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly outputs: { name: string; datatype: string; shape: number[]; contents: Record<string, unknown[]> | null }[];
  readonly raw_output_contents: Buffer[];
}

test('health, readiness and metadata', async () => {
  expect(await call(inference, 'ServerLive', {})).toEqual({ live: true });
  expect(await call(inference, 'ServerReady', {})).toEqual({ ready: true });
  expect(await call(inference, 'ModelReady', { name: 'fashion-mnist', version: '1' })).toEqual({ ready: true });
  expect(await call(inference, 'ServerMetadata', {})).toMatchObject({ name: 'qarepvgg' });
  expect(await call(inference, 'ModelMetadata', { name: 'fashion-mnist' })).toMatchObject({
    name: 'fashion-mnist',
    versions: ['1'],
    inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 1, 28, 28] }],
    outputs: [{ name: 'logits', datatype: 'FP32', shape: [-1, 10] }],
  });
  for (const service of ['', 'inference.GRPCInferenceService']) {
    expect(await call(health, 'Check', { service })).toEqual({ status: 1 });
  }
  await expect(call(health, 'Check', { service: 'other' })).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
});

test('raw tensors are answered raw, with the bits of a session', async () => {
  const answer = await call<Answer>(inference, 'ModelInfer', { ...request, id: '7', outputs: [{ name: 'logits' }] });
  expect(answer).toMatchObject({
    model_name: 'fashion-mnist',
    model_version: '1',
    id: '7',
    outputs: [{ name: 'logits', datatype: 'FP32', shape: [1, 10], contents: null }],
  });
  const [bytes] = answer.raw_output_contents as [Buffer];
  expect(new Float32Array(Uint8Array.from(bytes).buffer)).toEqual(logits);
});

test('typed contents are answered with typed contents, however many', async () => {
  const count = 200;
  const values = Array.from({ length: count }, () => [...image]).flat();
  const inputs = [{ ...input, shape: [count, 1, 28, 28], contents: { fp32_contents: values } }];
  const { outputs, raw_output_contents } = await call<Answer>(inference, 'ModelInfer', {
    ...request,
    inputs,
    raw_input_contents: [],
  });
  expect(raw_output_contents).toEqual([]);
  expect(outputs[0]?.shape).toEqual([count, 10]);
  expect(outputs[0]?.contents?.fp32_contents?.slice(-10)).toEqual([...logits]);
});

test('bytes of images as typed contents, and classes', async () => {
  const pixels = Array.from({ length: 784 }, (_, i) => i % 256);
  const inputs = [{ name: 'input', datatype: 'UINT8', shape: [1, 28, 28, 1], contents: { uint_contents: pixels } }];
  const outputs = [{ name: 'logits', parameters: { classification: { int64_param: 2 } } }];
  const typed = await call<Answer>(inference, 'ModelInfer', { ...request, inputs, outputs, raw_input_contents: [] });
  expect(typed.outputs[0]).toMatchObject({ datatype: 'BYTES', shape: [1, 2] });
  const strings = typed.outputs[0]?.contents?.bytes_contents?.map(String);
  expect(strings).toEqual([expect.stringMatching(/^[-\d.e]+:\d:[A-Z]/), expect.stringMatching(/^[-\d.e]+:\d:[A-Z]/)]);
});

test('what is wrong with a request is said', async () => {
  const { INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED } = grpc.status;
  const contents = { fp32_contents: [1] };
  const cases: [object, number, string][] = [
    [{ model_name: 'other' }, NOT_FOUND, 'other'],
    [{ model_version: '9' }, NOT_FOUND, '9'],
    [{ inputs: [] }, INVALID_ARGUMENT, 'raw_input_contents: expected 0, one for each input, received 1'],
    [{ inputs: [{ ...input, contents }] }, INVALID_ARGUMENT, 'expected contents or raw_input_contents, received both'],
    [
      { inputs: [{ ...input, contents }], raw_input_contents: [] },
      INVALID_ARGUMENT,
      'expected 784 values in fp32_contents',
    ],
    [
      { inputs: [{ ...input, datatype: 'FP16' }], raw_input_contents: [] },
      INVALID_ARGUMENT,
      'raw_input_contents for FP16',
    ],
    [{ inputs: [{ ...input, datatype: 'FLOAT' }] }, INVALID_ARGUMENT, 'datatype'],
    [{ inputs: [{ ...input, shape: [-1, 1, 28, 28] }] }, INVALID_ARGUMENT, 'shape'],
    [
      { inputs: [{ ...input, shape: [2 ** 40, 2 ** 40], contents }], raw_input_contents: [] },
      INVALID_ARGUMENT,
      'product',
    ],
    [{ inputs: [{ ...input, shape: [2, 1, 28, 28] }] }, INVALID_ARGUMENT, '6272 bytes'],
    [
      {
        inputs: [{ name: 'input', datatype: 'UINT8', shape: [1], contents: { uint_contents: [256] } }],
        raw_input_contents: [],
      },
      INVALID_ARGUMENT,
      'values of UINT8, received 256',
    ],
    [{ outputs: [{ name: 'other' }] }, INVALID_ARGUMENT, 'other'],
    [{ parameters: { timeout: { int64_param: -1 } } }, INVALID_ARGUMENT, 'microseconds'],
    [{ raw_input_contents: [Buffer.alloc(2 ** 21)] }, RESOURCE_EXHAUSTED, 'larger than max'],
  ];
  for (const [change, code, details] of cases) {
    await expect(call(inference, 'ModelInfer', { ...request, ...change })).rejects.toMatchObject({
      code,
      details: expect.stringContaining(details),
    });
  }
  // The server is none the worse for it.
  expect(await call(inference, 'ServerReady', {})).toEqual({ ready: true });
});

test('bytes that are no message', async () => {
  const path = '/inference.GRPCInferenceService/ModelInfer';
  for (const bytes of [Buffer.from([0xff]), Buffer.from([0x0a, 0x7f]), Buffer.from([0x2a, 0x02, 0x08, 0x01])]) {
    const answer = new Promise((resolve, reject) => {
      const identity = (value: Buffer) => value;
      inference.makeUnaryRequest(path, identity, identity, bytes, (error, value) =>
        error ? reject(error) : resolve(value),
      );
    });
    await expect(answer).rejects.toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
  }
});

test('deadlines and cancelled calls', async () => {
  const past = call(inference, 'ModelInfer', { ...request, parameters: { timeout: { double_param: 1e-6 } } });
  await expect(past).rejects.toMatchObject({ code: grpc.status.DEADLINE_EXCEEDED });
  const cancelled = new Promise((resolve) => {
    const running = inference.ModelInfer?.(request, (error: grpc.ServiceError) => resolve(error.code));
    running?.cancel();
  });
  expect(await cancelled).toBe(grpc.status.CANCELLED);
});

test('a token is asked for, not by probes', async () => {
  const guarded = await start({ grpcPort: 0, token: 'a-long-secret' });
  const client = clientOf('open_inference_grpc.proto', 'inference.GRPCInferenceService', guarded.grpcPort);
  expect(await call(client, 'ServerReady', {})).toEqual({ ready: true });
  for (const header of [undefined, 'Bearer other', 'a-long-secret']) {
    const metadata = new grpc.Metadata();
    if (header) metadata.set('authorization', header);
    await expect(call(client, 'ModelInfer', request, metadata)).rejects.toMatchObject({
      code: grpc.status.UNAUTHENTICATED,
    });
  }
  const metadata = new grpc.Metadata();
  metadata.set('authorization', 'Bearer a-long-secret');
  expect(await call(client, 'ModelInfer', request, metadata)).toMatchObject({ model_name: 'fashion-mnist' });
});

test('closing answers what runs, then ends', async () => {
  const closing = await start({ grpcPort: 0 });
  const client = clientOf('open_inference_grpc.proto', 'inference.GRPCInferenceService', closing.grpcPort);
  expect(await call(client, 'ServerReady', {})).toEqual({ ready: true });
  const answers = Array.from({ length: 50 }, () => call(client, 'ModelInfer', request));
  await Promise.race(answers);
  await closing.close();
  const outcomes = await Promise.allSettled(answers);
  for (const outcome of outcomes) {
    // Calls that the closing server had not seen are refused so that a client may send them elsewhere.
    if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: grpc.status.UNAVAILABLE });
  }
  await expect(call(client, 'ServerReady', {})).rejects.toMatchObject({ code: grpc.status.UNAVAILABLE });
});

test('errors of the library by code; those of the server say nothing of it', () => {
  const codes = {
    ERR_SHAPE: 3,
    ERR_NOT_FOUND: 5,
    ERR_LIMIT: 8,
    ERR_BUSY: 14,
    ERR_TIMEOUT: 4,
    ERR_ABORTED: 1,
    ERR_DISPOSED: 14,
  } as const;
  for (const [code, expected] of Object.entries(codes)) {
    expect(grpcError(new QARepVGGError(code as 'ERR_BUSY', 'why'))).toEqual({ code: expected, details: 'why' });
  }
  expect(grpcError(new Error('/etc/secret'))).toEqual({ code: grpc.status.INTERNAL, details: 'internal error' });
});
