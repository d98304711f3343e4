import { connect, type InferenceClient } from '../../lib/client';
import { runScript } from '../support/child';
import { binary, FakeServer, json } from '../support/fake-server';
import { expectRefusal, expectRejection } from '../support/refusal';

let server: FakeServer;
let client: InferenceClient;

beforeAll(async () => {
  server = await FakeServer.start();
});
beforeEach(() => {
  client = connect(server.url, { timeout: 20_000 });
});
afterEach(() => client.close());
afterAll(() => server.stop());

const logits = Float32Array.of(0.5, -2, 3);
const bytesOf = (array: ArrayBufferView) =>
  new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
const input = { data: Float32Array.of(1, 2, 3, 4), dims: [1, 4] };
const answered = (parameters: object) => ({
  model_name: 'm',
  model_version: '1',
  outputs: [{ name: 'logits', datatype: 'FP32', shape: [1, 3], ...parameters }],
});

describe('what goes over the wire', () => {
  test('tensors as bytes behind a header, as the client of Triton sends them', async () => {
    server.willAnswer(binary(answered({ parameters: { binary_data_size: 12 } }), bytesOf(logits)));
    const answer = await client.infer('m', { input }, { id: '7' });
    expect(answer).toEqual({
      model: 'm',
      version: '1',
      outputs: { logits: { data: logits, dims: [1, 3], type: 'FP32' } },
    });

    const [request] = server.received;
    const header =
      '{"id":"7","inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"parameters":{"binary_data_size":16}}],' +
      '"parameters":{"binary_data_output":true}}';
    expect(request).toMatchObject({
      line: 'POST /v2/models/m/infer',
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(header.length + 16),
        'inference-header-content-length': String(header.length),
      },
    });
    expect(request?.body).toEqual(Buffer.concat([Buffer.from(header), bytesOf(input.data)]));
  });

  test('outputs that are named say for themselves that they want bytes', async () => {
    server.willAnswer(json(answered({ data: [[0.5, -2, 3]] })));
    const { outputs } = await client.infer(
      'a b',
      { input },
      { version: '2', outputs: ['logits'], parameters: { timeout: 5 } },
    );
    expect(outputs.logits?.data).toEqual(logits);
    const { line, body, headers } = server.received[0] ?? {};
    expect(line).toBe('POST /v2/models/a%20b/versions/2/infer');
    expect(
      JSON.parse(body?.subarray(0, Number(headers?.['inference-header-content-length'])).toString() ?? ''),
    ).toEqual({
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4], parameters: { binary_data_size: 16 } }],
      outputs: [{ name: 'logits', parameters: { binary_data: true } }],
      parameters: { timeout: 5 },
    });
  });

  test('JSON, flat, where bytes are not wanted', async () => {
    server.willAnswer(json(answered({ data: [0.5, -2, 3] })));
    const feeds = {
      input,
      flags: { data: Uint8Array.of(1, 0), dims: [2], type: 'BOOL' as const },
      big: { data: BigInt64Array.of(-(2n ** 60n)), dims: [1] },
      words: { data: ['a"b', Buffer.from('ü')], dims: [2] },
    };
    await client.infer('m', feeds, { binary: false });
    expect(server.received[0]?.headers['content-type']).toBe('application/json');
    expect(server.received[0]?.body.toString()).toBe(
      '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]},' +
        '{"name":"flags","datatype":"BOOL","shape":[2],"data":[true,false]},' +
        '{"name":"big","datatype":"INT64","shape":[1],"data":[-1152921504606846976]},' +
        '{"name":"words","datatype":"BYTES","shape":[2],"data":["a\\"b","ü"]}]}',
    );
  });

  test('token and headers', async () => {
    const other = connect(`${server.url}/proxied/`, { token: 'secret', headers: { 'x-team': 'vision' } });
    server.willAnswer(json(answered({ data: [0.5, -2, 3] })));
    await other.infer('m', { input }, { headers: { traceparent: '00-1-2-01' } });
    other.close();
    expect(server.received[0]).toMatchObject({
      line: 'POST /proxied/v2/models/m/infer',
      headers: { authorization: 'Bearer secret', 'x-team': 'vision', traceparent: '00-1-2-01' },
    });
  });

  test('one connection serves calls one after the other', async () => {
    server.willAnswer(json(answered({ data: [0.5, -2, 3] })));
    const before = server.connections;
    for (let i = 0; i < 5; i++) await client.infer('m', { input });
    expect(server.connections - before).toBe(1);
  });
});

describe('tensors of every type', () => {
  const tensors = {
    BOOL: { data: Uint8Array.of(1, 0), type: 'BOOL' },
    UINT8: { data: Uint8Array.of(1, 255) },
    UINT16: { data: Uint16Array.of(1, 65535) },
    UINT32: { data: Uint32Array.of(1, 2 ** 32 - 1) },
    UINT64: { data: BigUint64Array.of(1n, 2n ** 64n - 1n) },
    INT8: { data: Int8Array.of(-1, 127) },
    INT16: { data: Int16Array.of(-1, 2) },
    INT32: { data: Int32Array.of(-1, 2) },
    INT64: { data: BigInt64Array.of(-1n, 2n ** 60n) },
    FP16: { data: Uint16Array.of(0x3c00, 0x7e00), type: 'FP16' },
    BF16: { data: Uint16Array.of(0x3f80, 0), type: 'BF16' },
    FP32: { data: Float32Array.of(Number.NaN, -0) },
    FP64: { data: Float64Array.of(Number.POSITIVE_INFINITY, 1e-300) },
  } as const;

  test('there and back as bytes, all in one request, at any alignment', async () => {
    // The server sends back what it was sent.
    server.willAnswer((response, { body, headers }) => {
      const length = Number(headers['inference-header-content-length']);
      const { inputs } = JSON.parse(body.subarray(0, length).toString());
      binary({ model_name: 'm', outputs: inputs }, body.subarray(length))(response, { line: '', headers, body });
    });
    const words = { data: ['', 'zwei', Buffer.from([0, 255])], dims: [3, 1] };
    const feeds = Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, { ...tensor, dims: [2] }]));
    const { outputs } = await client.infer('m', { words, ...feeds });
    expect(Object.keys(outputs)).toEqual(['words', ...Object.keys(tensors)]);
    for (const [name, { data }] of Object.entries(tensors)) {
      expect(outputs[name]).toEqual({ data, dims: [2], type: name });
    }
    expect((outputs.words as { data: Uint8Array[] }).data.map((item) => [...item])).toEqual([
      [],
      [...Buffer.from('zwei')],
      [0, 255],
    ]);
  });

  test('refused before anything is sent', async () => {
    server.willAnswer(json({}));
    const cases: [unknown, 'ERR_DTYPE' | 'ERR_SHAPE' | 'ERR_INVALID_ARG' | 'ERR_NON_FINITE', string, boolean?][] = [
      [{ data: [1, 2], dims: [2] }, 'ERR_DTYPE', 'input data: expected a typed array'],
      [{ data: Float32Array.of(1), dims: [2] }, 'ERR_SHAPE', 'expected 2 elements for [2], received 1'],
      [{ data: Float32Array.of(1), dims: [-1] }, 'ERR_SHAPE', 'integers from 0'],
      [{ data: Float32Array.of(1), dims: [1], type: 'INT32' }, 'ERR_DTYPE', 'a type for data of FP32'],
      [{ data: new Uint8ClampedArray(1), dims: [1] }, 'ERR_DTYPE', 'a Uint8ClampedArray'],
      [{ data: Float32Array.of(Number.NaN), dims: [1] }, 'ERR_NON_FINITE', 'finite numbers in JSON', false],
      [{ data: Uint16Array.of(1), dims: [1], type: 'FP16' }, 'ERR_DTYPE', 'the option binary', false],
      ['image', 'ERR_INVALID_ARG', 'a tensor { data, dims }'],
    ];
    for (const [tensor, code, message, isBinary = true] of cases) {
      await expectRejection(client.infer('m', { input: tensor as never }, { binary: isBinary }), code, message);
    }
    await expectRejection(client.infer('', { input }), 'ERR_INVALID_ARG', 'model');
    await expectRejection(client.infer('m', 5 as never), 'ERR_INVALID_ARG', 'tensors by name');
    expect(server.received).toEqual([]);
  });
});

describe('health and metadata', () => {
  test('go by the status: servers disagree on bodies', async () => {
    server.willAnswer((response) => response.writeHead(200, { 'content-type': 'text/plain' }).end());
    expect([await client.live(), await client.ready(), await client.modelReady('m')]).toEqual([true, true, true]);
    expect(server.received.map(({ line }) => line)).toEqual([
      'GET /v2/health/live',
      'GET /v2/health/ready',
      'GET /v2/models/m/ready',
    ]);
    server.willAnswer(json({ live: true }, 503));
    expect([await client.live(), await client.ready(), await client.modelReady('m')]).toEqual([false, false, false]);
    expect(server.received.length).toBe(3);
  });

  test('a server that is not there is neither live nor ready', async () => {
    const gone = await FakeServer.start();
    const { url } = gone;
    const nobody = connect(url);
    await gone.stop();
    expect([await nobody.live(), await nobody.ready()]).toEqual([false, false]);
    await expectRejection(connect(url, { retries: 1 }).metadata(), 'ERR_CONNECTION', 'ECONNREFUSED');
  });

  test('metadata, configuration, statistics, repository', async () => {
    const model = { name: 'm', versions: ['1'], platform: 'p', inputs: [], outputs: [] };
    server.willAnswer(
      json({ name: 's', version: '2', extensions: ['binary_tensor_data'] }),
      json(model),
      json({ max_batch_size: 8 }),
      json({ model_stats: [{ name: 'm', inference_count: 3 }] }),
      json([{ name: 'm', state: 'READY' }]),
      (response) => response.end(),
    );
    expect(await client.metadata()).toMatchObject({ name: 's' });
    expect(await client.modelMetadata('m', { version: '1' })).toEqual(model);
    expect(await client.modelConfig('m')).toEqual({ max_batch_size: 8 });
    expect(await client.stats('m')).toMatchObject({ inference_count: 3 });
    expect(await client.repository()).toEqual([{ name: 'm', state: 'READY' }]);
    await client.load('m');
    await client.unload('m');
    expect(server.received.map(({ line }) => line)).toEqual([
      'GET /v2',
      'GET /v2/models/m/versions/1',
      'GET /v2/models/m/config',
      'GET /v2/models/m/stats',
      'POST /v2/repository/index',
      'POST /v2/repository/models/m/load',
      'POST /v2/repository/models/m/unload',
    ]);
  });

  test('classes of tensors by the classification extension', async () => {
    const strings = ['0.75:2:boot: winter', '0.25:0'].flatMap((text) => [
      Uint32Array.of(text.length),
      Buffer.from(text),
    ]);
    const output = { name: 'logits', datatype: 'BYTES', shape: [1, 2], parameters: { binary_data_size: 33 } };
    server.willAnswer(
      json({ name: 'm', platform: 'p', inputs: [], outputs: [{ name: 'logits', datatype: 'FP32', shape: [-1, 3] }] }),
      binary({ model_name: 'm', outputs: [output] }, ...strings.map(bytesOf)),
    );
    expect(await client.classify('m', { input }, { top: 2 })).toEqual([
      { index: 2, label: 'boot: winter', value: 0.75 },
      { index: 0, value: 0.25 },
    ]);
    expect(server.received[1]?.body.toString()).toContain(
      '"outputs":[{"name":"logits","parameters":{"classification":2,"binary_data":true}}]',
    );
  });
});

describe('trouble', () => {
  const good = json(answered({ data: [0.5, -2, 3] }));

  test('what the server refuses is an error with its words and status', async () => {
    server.willAnswer(json({ error: 'unknown model "x"' }, 404));
    await expectRejection(
      client.infer('x', { input }),
      'ERR_STATUS',
      'expected status 200, received 404: "unknown model',
    );
    await expect(client.modelMetadata('x')).rejects.toMatchObject({ status: 404 });
    server.willAnswer((response) => response.writeHead(502).end('<html>Bad gateway'));
    await expectRejection(client.infer('x', { input }), 'ERR_STATUS', 'received 502: "<html>Bad gateway"');
    expect(server.received.length).toBe(1);
  });

  test('503 is tried again, not before Retry-After', async () => {
    server.willAnswer(json({ error: 'queue is full' }, 503, { 'retry-after': '1' }), json({}, 503), good);
    const start = performance.now();
    expect((await client.infer('m', { input })).outputs.logits?.data).toEqual(logits);
    expect(performance.now() - start).toBeGreaterThanOrEqual(1000);
    expect(new Set(server.received.map(({ body }) => body.toString('hex'))).size).toBe(1);
    expect(server.received.length).toBe(3);
  });

  test('but not for ever, and not when the answer would come too late', async () => {
    server.willAnswer(json({ error: 'queue is full' }, 503));
    const twice = connect(server.url, { retries: 2 });
    await expectRejection(twice.infer('m', { input }), 'ERR_STATUS', 'received 503: "queue is full"');
    expect(server.received.length).toBe(3);
    server.willAnswer(
      json({ error: 'queue is full' }, 503, { 'retry-after': new Date(Date.now() + 1e6).toUTCString() }),
    );
    await expectRejection(twice.infer('m', { input }), 'ERR_STATUS', 'received 503');
    expect(server.received.length).toBe(1);
    twice.close();
  });

  test('a connection that is lost, before or in the midst of an answer, is tried again', async () => {
    server.willAnswer(
      (response) => response.socket?.destroy(),
      (response) => {
        response.writeHead(200, { 'content-length': 1000 });
        response.write('{"model_name"', () => response.socket?.destroy());
      },
      good,
    );
    expect((await client.infer('m', { input })).outputs.logits?.data).toEqual(logits);
    expect(server.received.length).toBe(3);
  });

  test('a timeout covers all tries, and the connection is closed', async () => {
    const closed = new Promise((resolve) => {
      server.willAnswer((response) => response.on('close', resolve));
    });
    await expectRejection(client.infer('m', { input }, { timeout: 50 }), 'ERR_TIMEOUT', 'within 50 ms');
    await closed;
    server.willAnswer((response) => response.writeHead(200, { 'content-length': 100 }).write('{'));
    await expectRejection(client.infer('m', { input }, { timeout: 50 }), 'ERR_TIMEOUT', 'within 50 ms');
  });

  test('aborts: before, while the server computes, and between two tries', async () => {
    const reason = new Error('enough');
    server.willAnswer(good);
    await expectRejection(client.infer('m', { input }, { signal: AbortSignal.abort(reason) }), 'ERR_ABORTED', '');
    expect(server.received).toEqual([]);

    for (const answer of [() => undefined, json({}, 503, { 'retry-after': '10' })]) {
      const controller = new AbortController();
      server.willAnswer((response, request) => {
        answer(response, request);
        setTimeout(() => controller.abort(reason), 20);
      });
      await expect(client.infer('m', { input }, { signal: controller.signal })).rejects.toMatchObject({
        code: 'ERR_ABORTED',
        cause: reason,
      });
    }
  });

  test('answers that the protocol does not have', async () => {
    const output = (fields: object) =>
      json({ model_name: 'm', outputs: [{ name: 'y', datatype: 'FP32', shape: [2], ...fields }] });
    const cases: [Parameters<FakeServer['willAnswer']>[0], string][] = [
      [(response) => response.end('no JSON'), 'expected JSON, received "no JSON"'],
      [json([]), 'a JSON object'],
      [json({ outputs: 5 }), 'a list of outputs'],
      [json({ outputs: [null] }), 'an output with a name'],
      [output({ datatype: 'FP33' }), 'a datatype of the protocol'],
      [output({ datatype: '__proto__' }), 'a datatype of the protocol'],
      [output({ shape: [-2] }), 'integers from 0'],
      [output({ shape: 'x' }), 'a shape'],
      [output({ data: [1] }), 'expected 2 elements, received 1'],
      [output({ data: ['1', '2'] }), 'numbers of FP32'],
      [output({ datatype: 'INT64', data: [1, 2 ** 53] }), 'numbers of INT64'],
      [output({ datatype: 'FP16', data: [1, 2] }), 'bytes for FP16'],
      [output({}), 'data, or a binary_data_size of at most 0'],
      [output({ parameters: { binary_data_size: 8 } }), 'data, or a binary_data_size of at most 0'],
      [binary({ outputs: [] }, Buffer.from('x')), 'expected tensors only, received 1 more bytes'],
      [(response) => response.writeHead(200, { 'inference-header-content-length': 99 }).end('{}'), 'at most 2 bytes'],
      [(response) => response.writeHead(200, { 'inference-header-content-length': '-1' }).end('{}'), 'received "-1"'],
    ];
    for (const [answer, message] of cases) {
      server.willAnswer(answer);
      await expectRejection(client.infer('m', { input }), 'ERR_PROTOCOL', message);
    }
    const bytes = { name: 'y', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: 6 } };
    server.willAnswer(binary({ outputs: [bytes] }, Buffer.from([3, 0, 0, 0, 1, 2])));
    await expectRejection(client.infer('m', { input }), 'ERR_PROTOCOL', 'strings, each after its length');
  });

  test('an answer without end is not read to its end', async () => {
    const small = connect(server.url, { maxResponseBytes: 1000, retries: 0 });
    server.willAnswer((response) => response.writeHead(200).write(Buffer.alloc(1001)));
    await expectRejection(small.infer('m', { input }), 'ERR_LIMIT', 'at most 1000 bytes');
    small.close();
  });
});

test('options and addresses', () => {
  for (const url of ['', 'localhost:8080', 'ftp://x', undefined]) {
    expectRefusal(() => connect(url as string), 'ERR_INVALID_ARG', 'an http or https URL');
  }
  expectRefusal(() => connect('http://x', { retries: -1 }), 'ERR_INVALID_ARG', 'retries');
  expectRefusal(() => connect('http://x', { tokens: '' } as never), 'ERR_INVALID_ARG', 'expected only token');
  expectRefusal(() => connect('http://x', { headers: { a: 1 } } as never), 'ERR_INVALID_ARG', 'a string');
});

test('the client needs neither the addon nor the rest of the package', () => {
  const script = `
    const { connect } = require('qarepvgg/client');
    const loaded = Object.keys(require.cache).map((file) => require('node:path').basename(file));
    console.log(typeof connect, loaded.some((file) => /binding|\\.node$|qarepvgg\\.js/.test(file)));`;
  expect(runScript(script).stdout).toBe('function false\n');
});
