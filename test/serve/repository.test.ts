import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { saveModel } from '../../lib';
import { temporaryFolder } from '../support/formats';
import { deployNetwork, tiny } from '../support/networks';
import { ask, servers } from '../support/serving';

const start = servers();
const folder = temporaryFolder();
const token = 'a-token-of-tests';
const authorized = { headers: { authorization: `Bearer ${token}` } };
const file = (name: string): string => path.join(folder, name);
let url: string;

const post = (at: string, body = '', headers: object = authorized.headers) =>
  ask(url + at, { method: 'POST', body, headers: headers as Record<string, string> });

beforeAll(async () => {
  for (const version of ['1', '10', '9']) {
    mkdirSync(file(`many/${version}`), { recursive: true });
    await saveModel(
      deployNetwork('qarepvgg_a0', { ...tiny, seed: Number(version) }),
      file(`many/${version}/model.safetensors`),
    );
  }
  copyFileSync(file('many/1/model.safetensors'), file('one.safetensors'));
  writeFileSync(file('notes.txt'), 'no model');
  mkdirSync(file('empty'));
  mkdirSync(file('.hidden'));
  url = (await start({ repository: folder, token })).url;
});

describe('a repository', () => {
  test('serves all of its models; without a version the highest', async () => {
    expect(await ask(`${url}/v2/models`, authorized)).toMatchObject({ body: { models: ['many', 'one'] } });
    const stats = await ask(`${url}/v2/models/many/stats`, authorized);
    expect(stats).toMatchObject({ status: 200, body: { model_stats: [{ name: 'many', version: '10' }] } });
    expect(await ask(`${url}/v2/models/many/versions/9/ready`, authorized)).toMatchObject({ status: 200 });
    expect(await ask(`${url}/v2/models/many/versions/8/ready`, authorized)).toMatchObject({ status: 404 });
  });

  test('unloads and loads', async () => {
    expect(await post('/v2/repository/models/one/unload', '{"parameters":{"unload_dependents":false}}')).toEqual({
      status: 200,
      body: { name: 'one', unload: true },
    });
    expect(await ask(`${url}/v2/models/one`, authorized)).toEqual({
      status: 404,
      body: { error: 'no model named "one"' },
    });
    const { body } = await post('/v2/repository/index');
    expect(body).toContainEqual({ name: 'one', version: '1', state: 'UNAVAILABLE', reason: 'unloaded' });
    expect((await post('/v2/repository/index', '{"ready":true}')).body).not.toContainEqual(
      expect.objectContaining({ name: 'one' }),
    );
    expect(await post('/v2/repository/models/one/load', '{}')).toEqual({
      status: 200,
      body: { name: 'one', load: true },
    });
    expect(await ask(`${url}/v2/models/one/ready`, authorized)).toEqual({
      status: 200,
      body: { name: 'one', ready: true },
    });
  });

  test('takes in a file that is put there, and keeps the old model when the new one is bad', async () => {
    copyFileSync(file('one.safetensors'), file('two.safetensors'));
    expect(await post('/v2/repository/models/two/load')).toMatchObject({ status: 200 });
    writeFileSync(file('two.safetensors'), 'not a model');
    expect(await post('/v2/repository/models/two/load')).toEqual({
      status: 400,
      body: { error: 'load two: expected a file that can be served, received ERR_MODEL_FORMAT' },
    });
    expect(await ask(`${url}/v2/models/two/ready`, authorized)).toMatchObject({ status: 200 });
  });

  test.each([
    ['/v2/repository/models/nosuch/load', '', 404],
    ['/v2/repository/models/one/load', '{"parameters":{"config":"{}"}}', 400],
    ['/v2/repository/models/one/load', '{"parameters":{"file:1/model.onnx":"AAAA"}}', 400],
    ['/v2/repository/models/one/load', '[', 400],
    ['/v2/repository/models/one/load', ' '.repeat(70_000), 413],
    ['/v2/repository/models/..%2fone/load', '', 404],
    ['/v2/repository/models/%2e%2e/load', '', 404],
    [`/v2/repository/models/${'x'.repeat(4096)}/load`, '', 414],
    ['/v2/repository/models/%zz/load', '', 400],
  ])('%s %s is refused', async (at, body, status) => {
    expect(await post(at, body)).toMatchObject({ status, body: { error: expect.any(String) } });
  });
});

describe('the token', () => {
  test.each(['/v2', '/v2/models', '/v2/models/one', '/v2/models/one/ready', '/metrics', '/nosuch'])(
    '%s needs it',
    async (at) => {
      for (const authorization of [
        '',
        'Bearer',
        'Bearer another-token',
        `Basic ${token}`,
        `Bearer ${token} `.repeat(2),
      ]) {
        const { status } = await ask(url + at, { headers: { authorization } });
        expect(status).toBe(401);
      }
    },
  );

  test('probes do not', async () => {
    expect(await ask(`${url}/v2/health/ready`)).toMatchObject({ status: 200 });
    expect(await ask(`${url}/v2/health/live`)).toMatchObject({ status: 200 });
  });

  test('without one, nothing is loaded or unloaded', async () => {
    const open = await start();
    for (const action of ['load', 'unload']) {
      const answer = await ask(`${open.url}/v2/repository/models/fashion-mnist/${action}`, { method: 'POST' });
      expect(answer).toMatchObject({ status: 403, body: { error: expect.stringContaining('token') } });
    }
  });
});
