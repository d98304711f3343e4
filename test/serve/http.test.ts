import { InferenceSession, loadModel, type Network, type Tensor } from '../../lib';
import { ask, servers } from '../support/serving';

const start = servers();
const file = 'models/fashion-mnist.safetensors';
const image = Float32Array.from({ length: 784 }, (_, i) => Math.sin(i));
let url: string;
let model: Network;
let logits: Tensor;

beforeAll(async () => {
  url = (await start()).url;
  model = (await loadModel<Network>(file)).reparameterize();
  const session = await InferenceSession.create(model);
  ({ logits } = await session.run({ input: { data: image, dims: [1, 1, 28, 28] } }));
});

const post = (body: string | Uint8Array, headers: Record<string, string> = {}, at = '/v2/models/fashion-mnist/infer') =>
  fetch(url + at, { method: 'POST', body, headers });

test('health and metadata', async () => {
  expect(await ask(`${url}/v2/health/live`)).toEqual({ status: 200, body: { live: true } });
  expect(await ask(`${url}/v2/health/ready`)).toEqual({ status: 200, body: { ready: true, live: true } });
  expect(await ask(`${url}/v2`)).toMatchObject({
    status: 200,
    body: { name: 'qarepvgg', extensions: expect.arrayContaining(['binary_tensor_data']) },
  });
  expect(await ask(`${url}/v2/models`)).toEqual({ status: 200, body: { models: ['fashion-mnist'] } });
  expect(await ask(`${url}/v2/models/fashion-mnist/versions/1`)).toEqual({
    status: 200,
    body: {
      name: 'fashion-mnist',
      versions: ['1'],
      platform: 'qarepvgg_safetensors',
      inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 1, 28, 28] }],
      outputs: [{ name: 'logits', datatype: 'FP32', shape: [-1, 10] }],
    },
  });
});

const header = (extra: object = {}) => ({
  id: 'a',
  inputs: [{ name: 'input', shape: [1, 1, 28, 28], datatype: 'FP32', ...extra }],
});

test('JSON in, JSON out', async () => {
  const response = await post(JSON.stringify(header({ data: [...image] })));
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({
    model_name: 'fashion-mnist',
    model_version: '1',
    id: 'a',
    outputs: [{ name: 'logits', datatype: 'FP32', shape: [1, 10], data: [...logits.data] }],
  });
});

test('binary in, binary out, bit for bit', async () => {
  const json = JSON.stringify({
    ...header({ parameters: { binary_data_size: 3136 } }),
    parameters: { binary_data_output: true },
  });
  const response = await post(Buffer.concat([Buffer.from(json), Buffer.from(image.buffer)]), {
    'inference-header-content-length': String(Buffer.byteLength(json)),
  });
  expect(response.status).toBe(200);
  const length = Number(response.headers.get('inference-header-content-length'));
  const body = Buffer.from(await response.arrayBuffer());
  expect(JSON.parse(body.toString('utf8', 0, length)).outputs).toEqual([
    { name: 'logits', datatype: 'FP32', shape: [1, 10], parameters: { binary_data_size: 40 } },
  ]);
  expect(body.subarray(length)).toEqual(Buffer.from(logits.data.buffer));
});

/** A binary request of one input, as clients send it. */
function binary(json: object, bytes: Uint8Array): { body: Buffer; headers: Record<string, string> } {
  const text = JSON.stringify(json);
  const body = Buffer.concat([Buffer.from(text), bytes]);
  return { body, headers: { 'inference-header-content-length': String(Buffer.byteLength(text)) } };
}

/** The JSON and the tensors of a binary response. */
async function parts(response: Response): Promise<{ json: { outputs: object[] }; tensors: Buffer }> {
  expect(response.status).toBe(200);
  const length = Number(response.headers.get('inference-header-content-length'));
  const body = Buffer.from(await response.arrayBuffer());
  return { json: JSON.parse(body.toString('utf8', 0, length)), tensors: body.subarray(length) };
}

const bits = Buffer.from(image.buffer);
const input = { name: 'input', shape: [1, 1, 28, 28], datatype: 'FP32' };

test('a client that pads its JSON, and so shifts the tensors, is understood', async () => {
  for (let padding = 0; padding < 8; padding++) {
    const { body, headers } = binary(
      {
        id: 'x'.repeat(padding),
        inputs: [{ ...input, parameters: { binary_data_size: bits.length } }],
        parameters: { binary_data_output: true },
      },
      bits,
    );
    expect((await parts(await post(body, headers))).tensors).toEqual(Buffer.from(logits.data.buffer));
  }
});

test('a raw binary request is the input and nothing else; so is its answer binary', async () => {
  const { json, tensors } = await parts(await post(bits, { 'inference-header-content-length': '0' }));
  expect(json).toEqual({
    model_name: 'fashion-mnist',
    model_version: '1',
    outputs: [{ name: 'logits', datatype: 'FP32', shape: [1, 10], parameters: { binary_data_size: 40 } }],
  });
  expect(tensors).toEqual(Buffer.from(logits.data.buffer));
  expect((await post(bits.subarray(4), { 'inference-header-content-length': '0' })).status).toBe(400);
  expect((await post('', { 'inference-header-content-length': '0' })).status).toBe(400);
});

test('what an output says of itself goes before what the request says of all', async () => {
  const ask = (all: boolean, one?: boolean) => {
    const outputs = [{ name: 'logits', ...(one !== undefined && { parameters: { binary_data: one } }) }];
    return post(
      JSON.stringify({ inputs: [{ ...input, data: [...image] }], outputs, parameters: { binary_data_output: all } }),
    );
  };
  for (const [all, one, isBinary] of [
    [true, undefined, true],
    [true, false, false],
    [false, true, true],
    [false, undefined, false],
  ] as const) {
    const response = await ask(all, one);
    expect(response.headers.has('inference-header-content-length')).toBe(isBinary);
    await response.arrayBuffer();
  }
});

test('nested data is as flat data', async () => {
  const rows = Array.from({ length: 28 }, (_, i) => [...image.subarray(28 * i, 28 * (i + 1))]);
  const response = await post(JSON.stringify({ inputs: [{ ...input, data: [[rows]] }] }));
  expect(((await response.json()) as { outputs: { data: number[] }[] }).outputs[0]?.data).toEqual([...logits.data]);
});

test('images as bytes, channels last, go through the preprocessing of the model', async () => {
  const bytes = Uint8Array.from({ length: 2 * 784 }, (_, i) => i % 256);
  const session = await InferenceSession.create(model);
  const wanted = await session.run({ input: { data: bytes, dims: [2, 28, 28, 1] } });
  const json = {
    inputs: [
      { name: 'input', shape: [2, 28, 28, 1], datatype: 'UINT8', parameters: { binary_data_size: bytes.length } },
    ],
    parameters: { binary_data_output: true },
  };
  const { body, headers } = binary(json, bytes);
  expect((await parts(await post(body, headers))).tensors).toEqual(Buffer.from(wanted.logits.data.buffer));
});

test('classification gives the largest values with their labels', async () => {
  const request = {
    inputs: [{ ...input, data: [...image] }],
    outputs: [{ name: 'logits', parameters: { classification: 3 } }],
  };
  const order = [...logits.data.keys()]
    .sort((a, b) => (logits.data[b] as number) - (logits.data[a] as number))
    .slice(0, 3);
  const texts = order.map((index) => `${logits.data[index]}:${index}:${model.options.labels?.[index]}`);
  const response = await post(JSON.stringify(request));
  expect(((await response.json()) as { outputs: object[] }).outputs).toEqual([
    { name: 'logits', datatype: 'BYTES', shape: [1, 3], data: texts },
  ]);
  const binaryRequest = { ...request, parameters: { binary_data_output: true } };
  const { json, tensors } = await parts(await post(JSON.stringify(binaryRequest)));
  const packed = Buffer.concat(
    texts.flatMap((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(text));
      return [length, Buffer.from(text)];
    }),
  );
  expect(json.outputs).toEqual([
    { name: 'logits', datatype: 'BYTES', shape: [1, 3], parameters: { binary_data_size: packed.length } },
  ]);
  expect(tensors).toEqual(packed);
});

test('many clients at once get each its own answer', async () => {
  const session = await InferenceSession.create(model);
  await Promise.all(
    Array.from({ length: 100 }, async (_, client) => {
      const rows = 1 + (client % 3);
      const data = Float32Array.from({ length: rows * 784 }, (_, i) => Math.cos(i * client));
      const { logits: wanted } = await session.run({ input: { data, dims: [rows, 1, 28, 28] } });
      const json = {
        inputs: [{ ...input, shape: [rows, 1, 28, 28], parameters: { binary_data_size: data.byteLength } }],
        parameters: { binary_data_output: true },
      };
      const { body, headers } = binary(json, Buffer.from(data.buffer));
      expect((await parts(await post(body, headers))).tensors).toEqual(Buffer.from(wanted.data.buffer));
    }),
  );
  const { body } = await ask(`${url}/v2/models/fashion-mnist/stats`);
  const [stats] = (
    body as { model_stats: { inference_count: number; execution_count: number; batch_stats: object[] }[] }
  ).model_stats;
  expect(stats?.execution_count).toBeLessThan(stats?.inference_count as number);
});

test('a timeout in the request counts in microseconds', async () => {
  const response = await post(JSON.stringify({ inputs: [{ ...input, data: [...image] }], parameters: { timeout: 1 } }));
  expect({ status: response.status, body: await response.json() }).toEqual({
    status: 504,
    body: { error: expect.stringContaining('deadline') },
  });
});

test('config and stats have what load generators read', async () => {
  expect(await ask(`${url}/v2/models/fashion-mnist/config`)).toMatchObject({
    body: {
      name: 'fashion-mnist',
      max_batch_size: expect.any(Number),
      input: [{ name: 'input', data_type: 'TYPE_FP32', dims: [1, 28, 28] }],
    },
  });
  const some = { count: expect.any(Number), ns: expect.any(Number) };
  expect(await ask(`${url}/v2/models/stats`)).toMatchObject({
    body: {
      model_stats: [
        {
          name: 'fashion-mnist',
          version: '1',
          inference_stats: { success: some, fail: some, queue: some, compute_infer: some },
        },
      ],
    },
  });
});

test('wrong methods and unknown paths', async () => {
  const { status, body } = await ask(`${url}/v2/models/fashion-mnist/infer`);
  expect({ status, body }).toEqual({ status: 405, body: { error: 'Method Not Allowed' } });
  expect(await ask(`${url}/v2/nothing`)).toEqual({ status: 404, body: { error: 'Not Found' } });
  expect(await ask(`${url}/v2/models/nosuch`)).toEqual({ status: 404, body: { error: 'no model named "nosuch"' } });
  expect(await ask(`${url}/v2/repository/index`, { method: 'POST' })).toEqual({
    status: 200,
    body: [{ name: 'fashion-mnist', version: '1', state: 'READY', reason: '' }],
  });
});

test('metrics count what happened', async () => {
  const server = await start({ tritonMetrics: true });
  const at = `${server.url}/v2/models/fashion-mnist/infer`;
  await fetch(at, {
    method: 'POST',
    body: JSON.stringify({ inputs: [{ ...input, shape: [1, 1, 28, 28], data: [...image] }] }),
  });
  await fetch(at, { method: 'POST', body: '{}' });
  const text = await (await fetch(`${server.url}/metrics`)).text();
  for (const line of [
    'qarepvgg_requests_total{model="fashion-mnist",version="1",outcome="success"} 1',
    'qarepvgg_requests_total{model="fashion-mnist",version="1",outcome="invalid"} 1',
    'qarepvgg_images_total{model="fashion-mnist",version="1"} 1',
    'qarepvgg_batch_images_count{model="fashion-mnist",version="1"} 1',
    'qarepvgg_request_duration_seconds_count{model="fashion-mnist",version="1"} 1',
    'nv_inference_request_success{model="fashion-mnist",version="1"} 1',
    'nv_inference_request_failure{model="fashion-mnist",version="1",reason="OTHER"} 1',
    'nv_inference_exec_count{model="fashion-mnist",version="1"} 1',
  ]) {
    expect(text.split('\n')).toContain(line);
  }
  expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds /m);
  const sample = (name: string) => Number(new RegExp(`^${name}\\{.*\\} (\\S+)$`, 'm').exec(text)?.[1]);
  expect(sample('qarepvgg_engine_seconds_total')).toBeGreaterThan(0);
  expect(sample('qarepvgg_engine_threads')).toBeGreaterThanOrEqual(1);
  for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    if (!name?.startsWith('nv_')) expect(`${name} ${name?.endsWith('_total')}`).toBe(`${name} ${type === 'counter'}`);
  }
});
