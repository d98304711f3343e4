import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import type { Server } from '../../lib/serve';
import { sendRaw, statuses } from '../support/raw-http';
import { servers } from '../support/serving';

const start = servers();
const channel = 'http.server.request.start';
const size = 2 ** 20;

/** Chunks of bodies as Node passes them on. */
let chunks: { readonly length: number; readonly buffer: ArrayBufferLike }[] = [];

const watch = (message: unknown): void => {
  const { request } = message as { request: IncomingMessage };
  const push = request.push.bind(request);
  request.push = (chunk) => {
    if (chunk) chunks.push({ length: chunk.length, buffer: chunk.buffer });
    return push(chunk);
  };
};

let server: Server;

beforeAll(async () => {
  server = await start({ maxQueueBytes: 1000, token: 'token-of-tests' });
  subscribe(channel, watch);
});

afterAll(() => {
  unsubscribe(channel, watch);
});

beforeEach(() => {
  chunks = [];
});

const authorization = 'authorization: Bearer token-of-tests';
const length = `content-length: ${size}`;

test.each<[number, string, string[]]>([
  [503, 'POST /v2/models/fashion-mnist/infer', [authorization, length]],
  [503, 'POST /v2/models/fashion-mnist/infer', [authorization, 'transfer-encoding: chunked']],
  [404, 'POST /v2/models/other/infer', [authorization, length]],
  [404, 'POST /other', [authorization, length]],
  [405, 'PUT /v2/models/fashion-mnist/infer', [authorization, length]],
  [415, 'POST /v2/models/fashion-mnist/infer', [authorization, length, 'content-encoding: gzip']],
  [401, 'POST /v2/models/fashion-mnist/infer', [length]],
  [401, 'POST /v2/models/fashion-mnist/classify', [length]],
])('of a body that is answered with %i, nothing is kept: %s', async (status, line, headers) => {
  const head = (first: string, others: string[]) => [`${first} HTTP/1.1`, 'host: a', ...others, '', ''].join('\r\n');
  const body = 'x'.repeat(size);
  const isChunked = !headers.includes(length);
  const text = await sendRaw(
    server.port,
    [
      head(line, headers),
      isChunked ? `${size.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body,
      head('GET /v2/health/live', ['connection: close']),
    ].join(''),
    { silence: 10_000 },
  );
  expect(statuses(text)).toEqual([status, 200]);
  expect(chunks.reduce((sum, chunk) => sum + chunk.length, 0)).toBe(size);
  expect(chunks.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)).toBe(0);
});
