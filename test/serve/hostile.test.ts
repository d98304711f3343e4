import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Server } from '../../lib/serve';
import { sendRaw, statuses } from '../support/raw-http';
import { ask, servers } from '../support/serving';

const start = servers();
const at = '/v2/models/fashion-mnist/infer';
const zeros = JSON.stringify({
  inputs: [{ name: 'input', shape: [1, 1, 28, 28], datatype: 'FP32', data: Array(784).fill(0) }],
});
let server: Server;
let right: unknown;

beforeAll(async () => {
  server = await start({ maxBody: 2 ** 20, maxQueueBytes: 2 ** 22 });
  right = (await post(zeros)).body;
});

/** After every test the server answers as before, holds no bytes and has no request waiting. */
afterEach(async () => {
  await expectGauges(server.url);
  expect(await post(zeros)).toEqual({ status: 200, body: right });
});

const post = (body: string | Uint8Array, headers: Record<string, string> = {}) =>
  ask(server.url + at, { method: 'POST', body, headers });

async function expectGauges(url: string): Promise<void> {
  let text = '';
  for (let i = 0; i < 50; i++) {
    text = await (await fetch(`${url}/metrics`)).text();
    if (/^qarepvgg_queue_bytes 0$/m.test(text)) break;
    await sleep(20);
  }
  expect(text).toMatch(/^qarepvgg_queue_bytes 0$/m);
  expect(text).toMatch(/^qarepvgg_queue_requests\{model="fashion-mnist",version="1"\} 0$/m);
}

const request = (headers: string, body = '', method = 'POST', path = at, silence = 300) =>
  sendRaw(server.port, `${method} ${path} HTTP/1.1\r\nhost: a\r\n${headers}\r\n\r\n${body}`, { silence });

/** A body that takes a while to read. */
const send = (chunks: string) => request('transfer-encoding: chunked', chunks, 'POST', at, 30_000);

describe('framing', () => {
  test.each([
    ['no length', 'x: y', '', [400]],
    ['two lengths', 'content-length: 2\r\ncontent-length: 3', '{}', [400]],
    ['a length and chunks', 'content-length: 2\r\ntransfer-encoding: chunked', '2\r\n{}\r\n0\r\n\r\n', [400]],
    ['a negative length', 'content-length: -2', '{}', [400]],
    ['a length that is no number', 'content-length: 2x', '{}', [400]],
    ['a huge length', 'content-length: 99999999999', '{}', [413]],
    ['an astronomic length', `content-length: ${'9'.repeat(30)}`, '{}', [400]],
    ['more body than length', 'content-length: 2', '{}{}', [400]],
    ['a bad chunk', 'transfer-encoding: chunked', 'zz\r\n', [400]],
    ['another transfer encoding', 'transfer-encoding: gzip', '{}', [400]],
  ])('%s', async (_name, headers, body, expected) => {
    expect(statuses(await request(headers, body))).toEqual(expected);
  });

  test('less body than length: no answer, and nothing is left', async () => {
    expect(statuses(await request('content-length: 100', '{}'))).toEqual([]);
  });

  test('chunks of one byte are cut off', async () => {
    const chunks = Array(20_000).fill('1\r\nx\r\n').join('');
    expect(statuses(await send(`${chunks}0\r\n\r\n`))).toEqual([413]);
  });

  test('chunks without end are cut off', async () => {
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    expect(statuses(await send(chunk.repeat(20)))).toEqual([413]);
  });

  test('headers that are too long, or too many', async () => {
    expect(statuses(await request(`x: ${'y'.repeat(17_000)}`))).toEqual([431]);
    const many = Array.from({ length: 2000 }, (_, i) => `x${i}: y`).join('\r\n');
    expect(statuses(await request(many))[0]).toBeGreaterThanOrEqual(400);
  });

  test('a client that asks before it sends its body is told', async () => {
    const length = `content-length: ${zeros.length}`;
    expect(statuses(await request(`expect: 100-continue\r\n${length}`, zeros))).toEqual([100, 200]);
    const refused = await request('expect: 100-continue\r\ncontent-length: 2000000');
    expect(statuses(refused)).toEqual([413]);
    expect(refused).toMatch(/connection: close/i);
    const unknown = await request(`expect: 100-continue\r\n${length}`, '', 'POST', '/v2/models/x/infer');
    expect(statuses(unknown)).toEqual([404]);
    expect(statuses(await request(`expect: more\r\n${length}`, zeros))).toEqual([417]);
  });

  test('HEAD is answered without a body', async () => {
    const answer = await request('x: y', '', 'HEAD', '/v2/health/live');
    expect(statuses(answer)).toEqual([200]);
    expect(answer).toMatch(/\r\n\r\n$/);
    expect(statuses(await request('x: y', '', 'HEAD'))).toEqual([405]);
  });

  test('10,000 requests in one packet are answered', async () => {
    const text = await sendRaw(server.port, 'GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(10_000), {
      silence: 3000,
    });
    expect(statuses(text).filter((status) => status === 200)).toHaveLength(10_000);
  });

  test.each([
    ['TLS', Buffer.from('16030100c8010000c40303', 'hex')],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['HTTP/0.9', 'GET /\r\n'],
    ['noise', Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 167) % 256))],
  ])('%s is no HTTP/1.1', async (_name, bytes) => {
    for (const status of statuses(await sendRaw(server.port, bytes))) expect(status).toBe(400);
  });

  test.each(['CONNECT', 'TRACE', 'OPTIONS', 'PATCH', 'DELETE', 'PUT', 'BREW'])('%s is refused', async (method) => {
    const all = statuses(await request('x: y', '', method));
    for (const status of all) expect([400, 404, 405]).toContain(status);
  });
});

describe('content', () => {
  test.each(['gzip', 'deflate', 'br', 'gzip, gzip', 'x'.repeat(1000)])(
    'content-encoding %s is refused',
    async (encoding) => {
      expect(await post(zeros, { 'content-encoding': encoding })).toMatchObject({
        status: 415,
        body: { error: expect.any(String) },
      });
    },
  );

  test.each([
    'text/plain',
    'application/octet-stream',
    'application/json; charset=utf-16',
    'multipart/form-data; boundary=x',
    'a/b; junk',
    'image/png',
  ])('content-type %s does not matter', async (type) => {
    expect(await post(zeros, { 'content-type': type })).toEqual({ status: 200, body: right });
  });

  const input = (fields: object) =>
    JSON.stringify({ inputs: [{ name: 'input', shape: [1, 1, 28, 28], datatype: 'FP32', ...fields }] });
  const data = Array(784).fill(0);

  test.each<[string, string]>([
    ['nothing', ''],
    ['no JSON', 'x'],
    ['a number', '1'],
    ['null', 'null'],
    ['an array', '[]'],
    ['no inputs', '{}'],
    ['too many inputs', JSON.stringify({ inputs: Array(2).fill(JSON.parse(zeros).inputs[0]) })],
    ['100,000 deep', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    ['deep without end', '['.repeat(500_000)],
    ['deep in objects', '{"a":'.repeat(100_000)],
    ['brackets in a text', `{"inputs":"${']'.repeat(1000)}","a":${'['.repeat(40)}${']'.repeat(40)}}`],
    ['a million keys', `{${Array.from({ length: 80_000 }, (_, i) => `"k${i}":{}`).join()}}`],
    ['__proto__', '{"__proto__":{"inputs":[]}}'],
    ['another name', input({ name: 'x', data })],
    ['a name that is no text', input({ name: {}, data })],
    ['another datatype', input({ datatype: 'FP64', data })],
    ['no datatype', input({ datatype: 'toString', data })],
    ['FP16 in JSON', input({ datatype: 'FP16', data })],
    ['a shape of too few', input({ shape: [1, 784], data })],
    ['a shape of zeros', input({ shape: [0, 1, 28, 28], data: [] })],
    ['a negative shape', input({ shape: [-1, 1, 28, 28], data })],
    ['a huge shape', input({ shape: [2 ** 52, 1, 28, 28], data })],
    ['a fractional shape', input({ shape: [1.5, 1, 28, 28], data })],
    ['a shape that wraps', input({ shape: [4194305, 4194305, 2, 2], data })],
    ['a shape of texts', input({ shape: ['1', '1', '28', '28'], data })],
    ['too many dims', input({ shape: Array(1000).fill(1), data: [0] })],
    ['another size of image', input({ shape: [1, 1, 14, 56], data })],
    ['too few numbers', input({ data: data.slice(1) })],
    ['too many numbers', input({ data: [...data, 0] })],
    ['texts', input({ data: data.map(String) })],
    ['null among numbers', input({ data: [null, ...data.slice(1)] })],
    ['1e400', input({ data }).replace('[0,', '[1e400,')],
    ['NaN', input({ data }).replace('[0,', '[NaN,')],
    ['bytes out of range', input({ datatype: 'UINT8', shape: [1, 28, 28, 1], data: [256, ...data.slice(1)] })],
    ['data and binary data', input({ data, parameters: { binary_data_size: 0 } })],
    ['binary data that is not there', input({ parameters: { binary_data_size: 3136 } })],
    ['a binary size that is no number', input({ parameters: { binary_data_size: '3136' } })],
    ['an output of another name', JSON.stringify({ ...JSON.parse(zeros), outputs: [{ name: 'x' }] })],
    [
      'a negative classification',
      JSON.stringify({ ...JSON.parse(zeros), outputs: [{ name: 'logits', parameters: { classification: -1 } }] }),
    ],
    ['an id that is no text', JSON.stringify({ ...JSON.parse(zeros), id: 1 })],
    ['a timeout that is no number', JSON.stringify({ ...JSON.parse(zeros), parameters: { timeout: 'x' } })],
  ])('%s', async (_name, body) => {
    const answer = await post(body);
    expect(answer).toMatchObject({ status: 400, body: { error: expect.any(String) } });
    expect((answer.body as { error: string }).error.length).toBeLessThan(1000);
  });

  test.each(['-1', 'x', '1e3', '99999999', ''])('a header length of %j', async (length) => {
    expect(await post(zeros, { 'inference-header-content-length': length })).toMatchObject({ status: 400 });
  });

  test('bytes that are no UTF-8', async () => {
    const bytes = Buffer.from(zeros.replace('{', '{"id":"\xff",'), 'latin1');
    expect(await post(bytes)).toMatchObject({ status: 400, body: { error: expect.stringContaining('UTF-8') } });
  });

  test('a duplicate key counts as its last', async () => {
    expect(await post(zeros.replace('{', '{"inputs":1,'))).toEqual({ status: 200, body: right });
  });

  test('a body that is too large', async () => {
    expect(await post(' '.repeat(2 ** 20 + 1))).toMatchObject({ status: 413 });
  });
});

test.each([
  '../etc',
  'a/../b',
  '/etc/passwd',
  '..',
  ' ..',
  '%2e%2e%2f',
  '..\\',
  '',
  ' ',
  '\u0430',
  'fashion-mnist%00',
  'fashion-mnist/versions/-1',
  'fashion-mnist/versions/01',
  'fashion-mnist/versions/latest',
  'constructor',
  '__proto__',
  'x'.repeat(4096),
])('a model named %j is not there', async (name) => {
  const { status, body } = await ask(`${server.url}/v2/models/${encodeURI(name)}/infer`, {
    method: 'POST',
    body: zeros,
  });
  expect([404, 405, 414]).toContain(status);
  expect(JSON.stringify(body)).not.toContain(process.cwd());
});

describe('clients that are slow or leave', () => {
  test('aborts at any point', async () => {
    const head = `POST ${at} HTTP/1.1\r\nhost: a\r\ncontent-length: ${zeros.length}\r\n\r\n`;
    const bytes = head + zeros;
    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const socket = connect(server.port, '127.0.0.1');
        socket.on('error', () => undefined);
        await once(socket, 'connect');
        socket.write(bytes.slice(0, Math.floor((bytes.length * (i + 1)) / 200)));
        await sleep(i % 7);
        if (i % 2) socket.resetAndDestroy();
        else socket.destroy();
      }),
    );
  });

  // Over TCP it looks like one that has left, whose requests are not computed; it gets an answer that is there already.
  test('a connection beyond the limit is closed, and one is free when another ends', async () => {
    const { port, url } = await start({ maxConnections: 2 });
    const open = async () => {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      await once(socket, 'connect');
      return socket.resume();
    };
    const [first, second] = [await open(), await open()];
    await once(await open(), 'close');
    first.destroy();
    let status = 0;
    for (let i = 0; i < 50 && status === 0; i++) {
      await sleep(20); // the server learns of it in its own time
      status = await fetch(`${url}/v2/health/live`).then(
        (answer) => answer.status,
        () => 0,
      );
    }
    expect(status).toBe(200);
    second.destroy();
  });

  test('a client that closes its half counts as one that leaves', async () => {
    const socket = connect(server.port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.end(
      `POST ${at} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: ${zeros.length}\r\n\r\n${zeros}`,
    );
    await once(socket, 'close');
    expect([[], [200]]).toContainEqual(statuses(text));
    expect((await fetch(server.url + at, { method: 'POST', body: zeros })).status).toBe(200);
  });

  test('bodies that wait count; when there are too many bytes, others are refused with Retry-After', async () => {
    const sockets = Array.from({ length: 4 }, () => connect(server.port, '127.0.0.1'));
    for (const socket of sockets) socket.write(`POST ${at} HTTP/1.1\r\nhost: a\r\ncontent-length: ${2 ** 20}\r\n\r\n`);
    // Another request meanwhile could take the place of one of them.
    while (!/^qarepvgg_queue_bytes 4194304$/m.test(await (await fetch(`${server.url}/metrics`)).text()))
      await sleep(10);
    const response = await fetch(server.url + at, { method: 'POST', body: zeros });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
    expect(await ask(`${server.url}/v2/health/live`)).toMatchObject({ status: 200 });
    for (const socket of sockets) socket.destroy();
  });
});
