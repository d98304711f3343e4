import { copyFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createModel, InferenceSession, saveModel } from '../../lib';
import { temporaryFolder } from '../support/formats';
import { tiny } from '../support/networks';
import { ask, servers } from '../support/serving';

const start = servers();
const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const side = 32;
const image = Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i));
const body = JSON.stringify({ inputs: [{ name: 'input', shape: [1, 3, side, side], datatype: 'FP32', data: image }] });
/** What each of two models answers. */
const answers: string[] = [];

const infer = async (url: string): Promise<string> => {
  const answer = await ask(`${url}/v2/models/m/infer`, { method: 'POST', body });
  expect(answer.status).toBe(200);
  return JSON.stringify((answer.body as { outputs: { data: unknown }[] }).outputs[0]?.data);
};

/** As careful people replace files. */
const put = (model: string): void => {
  copyFileSync(file(model), file('m.new'));
  renameSync(file('m.new'), file('m.safetensors'));
};

beforeAll(async () => {
  for (const [i, name] of ['a', 'b'].entries()) {
    const model = createModel('qarepvgg_a0', { ...tiny, inChannels: 3, inputSize: side, seed: i + 1 }).reparameterize();
    await saveModel(model, file(name));
    const session = await InferenceSession.create(model);
    const { logits } = await session.run({ input: { data: Float32Array.from(image), dims: [1, 3, side, side] } });
    answers.push(JSON.stringify([...logits.data]));
  }
  expect(answers[0]).not.toBe(answers[1]);
});

test('reloads under load: every answer is that of one of the models, and after a reload of the new one', async () => {
  put('a');
  const server = await start({ models: { m: file('m.safetensors') }, maxBatch: 4 });
  let isOver = false;
  let count = 0;
  const client = async (): Promise<void> => {
    while (!isOver) {
      expect(answers).toContain(await infer(server.url));
      count++;
    }
  };
  const clients = Array.from({ length: 8 }, client);
  for (let i = 1; i <= 30; i++) {
    put(i % 2 ? 'b' : 'a');
    expect(await server.reload()).toEqual({ reloaded: ['m'], failed: [] });
    expect(await infer(server.url)).toBe(answers[i % 2]);
  }
  isOver = true;
  await Promise.all(clients);
  expect(count).toBeGreaterThan(30);
});

test.each([
  ['a corrupt file', () => writeFileSync(file('m.safetensors'), 'corrupt')],
  ['an empty file', () => writeFileSync(file('m.safetensors'), '')],
  ['no file', () => rmSync(file('m.safetensors'))],
])('%s: the old model goes on', async (_name, breakIt) => {
  put('a');
  const server = await start({ models: { m: file('m.safetensors') } });
  breakIt();
  const { reloaded, failed } = await server.reload();
  expect(reloaded).toEqual([]);
  expect(failed).toEqual([{ name: 'm', message: expect.any(String) }]);
  expect(await infer(server.url)).toBe(answers[0]);
  expect(await ask(`${server.url}/v2/health/ready`)).toMatchObject({ status: 200 });
});

test('with watch, a file that is replaced is served, and a bad one is not', async () => {
  put('a');
  const server = await start({ models: { m: file('m.safetensors') }, watch: true });
  expect(await infer(server.url)).toBe(answers[0]);
  writeFileSync(file('m.safetensors'), 'corrupt');
  await sleep(2500);
  expect(await infer(server.url)).toBe(answers[0]);
  put('b');
  for (let i = 0; (await infer(server.url)) !== answers[1]; i++) {
    if (i === 200) throw new Error('not replaced');
    await sleep(50);
  }
});

test('concurrent loads and unloads of one name end in one of both states', async () => {
  put('a');
  const token = 'a-token-of-tests';
  const server = await start({ models: { m: file('m.safetensors'), n: file('a') }, token });
  const headers = { authorization: `Bearer ${token}` };
  const change = (action: string) => ask(`${server.url}/v2/repository/models/m/${action}`, { method: 'POST', headers });
  const all = await Promise.all(Array.from({ length: 20 }, (_, i) => change(i % 2 ? 'load' : 'unload')));
  for (const { status } of all) expect([200, 404]).toContain(status);
  expect(await change('load')).toMatchObject({ status: 200 });
  expect(await ask(`${server.url}/v2/models/m/ready`, { headers })).toMatchObject({ status: 200 });
});
