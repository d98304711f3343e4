import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { saveModel } from '../../lib';
import { root, runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { randomNetwork } from '../support/networks';

const folder = temporaryFolder();
let server: ChildProcess;
let port: number;

beforeAll(async () => {
  server = spawn(process.execPath, ['examples/http-server.mjs', '', '0'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: server.stdout as NodeJS.ReadableStream }), 'line')) as [string];
  port = Number(/^listening on port (\d+)$/.exec(line)?.[1]);
});

afterAll(() => server.kill('SIGKILL'));

interface Answer {
  readonly status: number | undefined;
  readonly body: string;
}

function ask(path: string, image?: Uint8Array): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({
      port,
      path,
      method: image ? 'POST' : 'GET',
      headers: { 'content-length': image?.length ?? 0 },
    });
    asked.on('error', reject);
    asked.on('response', async (response) => {
      let body = '';
      for await (const chunk of response) body += String(chunk);
      resolve({ status: response.statusCode, body });
    });
    asked.end(image);
  });
}

const image = Uint8Array.from({ length: 3072 }, (_, i) => i % 256);

test('classifies an image', async () => {
  const { status, body } = await ask('/classify', image);
  expect(status).toBe(200);
  expect(JSON.parse(body)).toEqual({ class: expect.any(Number), logit: expect.any(Number) });
});

test('refuses what is no image', async () => {
  expect(await ask('/classify', image.subarray(1))).toMatchObject({
    status: 400,
    body: expect.stringContaining('3072'),
  });
  expect(await ask('/classify')).toMatchObject({ status: 404 });
  expect(await ask('/other')).toMatchObject({ status: 404 });
});

test('answers others while it computes, sheds what is too much, and survives clients that leave', async () => {
  let done = 0;
  const classify = () =>
    ask('/classify', image).then((answer) => {
      done++;
      return answer;
    });
  const load = Array.from({ length: 50 }, classify);
  const doneMeanwhile = ask('/health').then((answer) => {
    expect(answer).toEqual({ status: 200, body: 'ok\n' });
    return done;
  });
  load.push(...Array.from({ length: 100 }, classify));
  const leaving = Array.from({ length: 10 }, () => {
    const asked = request({ port, path: '/classify', method: 'POST', headers: { 'content-length': image.length } });
    asked.on('error', () => {});
    asked.write(image.subarray(0, 100));
    setTimeout(() => asked.destroy(), 5);
    return new Promise((resolve) => asked.on('close', resolve));
  });
  expect(await doneMeanwhile).toBeLessThan(150);
  const answers = await Promise.all(load);
  await Promise.all(leaving);
  expect(new Set(answers.map(({ status }) => status))).toContain(200);
  expect(answers.every(({ status }) => status === 200 || status === 503)).toBe(true);
  const right = await ask('/classify', image);
  expect(new Set(answers.filter(({ status }) => status === 200).map(({ body }) => body))).toEqual(
    new Set([right.body]),
  );
});

test('a model that cannot be served, and a file that is none: one line and exit code 1', async () => {
  const train = path.join(folder, 'train.safetensors');
  await saveModel(randomNetwork('qarepvgg_a0'), train);
  for (const [file, message] of [
    [train, 'switchToDeploy'],
    [path.join(folder, 'nothing'), 'ENOENT'],
  ] as const) {
    const { stdout, stderr, status } = runNode(['examples/http-server.mjs', file, '0']);
    expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
    expect(stderr.split('\n')).toEqual([expect.stringContaining(message), '']);
  }
});

test('ends when told to', async () => {
  server.kill('SIGTERM');
  const [code] = (await once(server, 'exit')) as [number];
  expect(code).toBe(0);
});
