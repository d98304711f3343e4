import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '../../lib/errors';
import { checkServeOptions } from '../../lib/serve/options';
import { root, runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { ask } from '../support/serving';

const folder = temporaryFolder();
const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
});

/** The command, listening on any port. */
const serveCommand = (...args: string[]) => launch([], args);

async function launch(nodeArgs: string[], args: string[]) {
  const child = spawn(process.execPath, [...nodeArgs, 'dist/cli/index.js', 'serve', '--json', '--port', '0', ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let log = '';
  child.stderr?.on('data', (chunk) => {
    log += chunk;
  });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const events: Record<string, unknown>[] = [];
  lines.on('line', (line) => events.push(JSON.parse(line)));
  const next = async (event: string): Promise<Record<string, unknown>> => {
    for (;;) {
      const found = events.find((each) => each.event === event);
      if (found) return found;
      const { exitCode, signalCode } = child;
      if (exitCode !== null || signalCode !== null) throw new Error(`ended by ${signalCode ?? exitCode}: ${log}`);
      await sleep(10);
    }
  };
  const { url } = await next('listening');
  return { child, url: url as string, next, log: () => log };
}

const body = JSON.stringify({
  inputs: [{ name: 'input', shape: [1, 1, 28, 28], datatype: 'FP32', data: Array(784).fill(0) }],
});
const infer = (url: string) => ask(`${url}/v2/models/fashion-mnist/infer`, { method: 'POST', body });

test('serves the network of the package; SIGTERM under load loses no answer and ends with 0', async () => {
  const { child, url, next } = await serveCommand('--shutdown-delay', '200');
  const results = { 200: 0, refused: 0 };
  let isOver = false;
  const clients = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      try {
        expect((await infer(url)).status).toBe(200);
        results[200]++;
      } catch (error) {
        // Only a connection that the server never had may fail.
        expect(String((error as { cause?: { code: string } }).cause?.code ?? error)).toBe('ECONNREFUSED');
        results.refused++;
        return;
      }
    }
  });
  await sleep(200);
  child.kill('SIGTERM');
  await next('closing');
  expect(await ask(`${url}/v2/health/ready`)).toMatchObject({ status: 503, body: { ready: false } });
  expect(await ask(`${url}/v2/health/live`)).toMatchObject({ status: 200 });
  const [code] = await once(child, 'exit');
  isOver = true;
  await Promise.all(clients);
  expect(code).toBe(0);
  expect(results[200]).toBeGreaterThan(8);
});

test('a second signal ends it at once', async () => {
  const { child, next } = await serveCommand('--shutdown-delay', '60000');
  child.kill('SIGTERM');
  await next('closing');
  child.kill('SIGINT');
  expect((await once(child, 'exit'))[0]).toBe(1);
});

test('SIGHUP loads the models again', async () => {
  const { child, next, url } = await serveCommand();
  child.kill('SIGHUP');
  expect(await next('reloaded')).toEqual({ event: 'reloaded', reloaded: ['fashion-mnist'], failed: [] });
  expect(await infer(url)).toMatchObject({ status: 200 });
});

test('logs a line of JSON for a request, with its id and trace, without its content', async () => {
  const { url, log, child } = await serveCommand('--log-level', 'info', '--token', 'not-in-the-log');
  const headers = {
    'x-request-id': 'request-1',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    authorization: 'Bearer not-in-the-log',
  };
  const response = await fetch(`${url}/v2/models/fashion-mnist/infer`, { method: 'POST', body, headers });
  expect(response.headers.get('x-request-id')).toBe('request-1');
  while (!log().includes('request-1')) await sleep(10);
  const line = log()
    .split('\n')
    .find((each) => each.includes('request-1')) as string;
  expect(JSON.parse(line)).toMatchObject({
    level: 30,
    reqId: 'request-1',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    parent_span_id: '00f067aa0ba902b7',
    method: 'POST',
    route: '/v2/models/:model/infer',
    model: 'fashion-mnist',
    status: 200,
  });
  expect(log()).not.toMatch(/not-in-the-log|inputs/);
  child.kill();
});

test('every option of serve() has a flag', () => {
  const { definitions: _, settings, models, ...options } = within('test', () => checkServeOptions({}));
  const { stdout } = runNode(['dist/cli/index.js', 'serve', '--help']);
  for (const name of [...Object.keys({ ...options, ...settings }), 'model']) {
    expect(stdout).toContain(`  --${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} `);
  }
});

test('limits from the command line hold', async () => {
  const { url, child } = await serveCommand('--max-body', '4k', '--max-pixels', '99', '--max-queue-bytes', '1M');
  const post = async (path: string, bytes: number): Promise<number> =>
    (await ask(url + path, { method: 'POST', body: Buffer.alloc(bytes) })).status;
  expect(await post('/v2/models/fashion-mnist/infer', 4097)).toBe(413);
  expect(await post('/v2/models/fashion-mnist/infer', 4096)).toBe(400);
  const image = readFileSync(path.join(root, 'examples/images/ankle-boot.png'));
  const { status, body } = await ask(`${url}/v2/models/fashion-mnist/classify`, { method: 'POST', body: image });
  expect(status).toBe(413);
  expect(body).toMatchObject({ error: expect.stringContaining('99 pixels') });
  child.kill();
});

/** A script after which a package cannot be found. */
function without(name: string): string {
  const preload = path.join(folder, `without-${name}.cjs`);
  const hook = `export const resolve = async (name, context, next) => {
    if (name === '${name}') throw Object.assign(new Error('none'), { code: 'ERR_MODULE_NOT_FOUND' });
    return next(name, context);
  };`;
  writeFileSync(
    preload,
    `const loader = require('node:module');
    const resolve = loader._resolveFilename;
    loader._resolveFilename = function (name, ...rest) {
      if (name === '${name}') throw Object.assign(new Error('none'), { code: 'MODULE_NOT_FOUND' });
      return resolve.call(this, name, ...rest);
    };
    loader.register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}));`,
  );
  return preload;
}

test('without sharp, images are answered with what to install, tensors as ever', async () => {
  const { url, child } = await launch(['--require', without('sharp')], ['--log-level', 'silent']);
  const image = readFileSync(path.join(root, 'examples/images/ankle-boot.png'));
  const answer = await ask(`${url}/v2/models/fashion-mnist/classify`, { method: 'POST', body: image });
  expect(answer).toMatchObject({ status: 501, body: { error: expect.stringContaining('npm install sharp') } });
  expect((await infer(url)).status).toBe(200);
  child.kill();
});

describe('what cannot be served', () => {
  const run = (...args: string[]) => runNode(['dist/cli/index.js', 'serve', '--port', '0', ...args]);
  const bad = path.join(folder, 'bad.safetensors');
  writeFileSync(bad, 'no model');

  test.each<[string[], number, string]>([
    [['--model', 'x'], 2, 'Expected name=file'],
    [['--model', 'a=b', '--model', 'a=c'], 2, 'Expected each name once'],
    [['--model', 'a/b=c'], 2, 'names of letters'],
    [['--port', '70000'], 2, 'option port'],
    [['--token', 'short'], 2, 'option token'],
    [['--max-queue', '0'], 2, 'integer from 1'],
    [['--max-body', '1T'], 2, 'number of bytes, such as'],
    [['--max-body', '4G'], 2, 'option maxBody'],
    [['--shutdown-timeout', '0'], 2, 'integer from 1'],
    [['--model', `m=${bad}`], 1, 'bad.safetensors'],
    [['--model', 'm=nosuch.safetensors'], 1, 'nosuch.safetensors'],
    [['--repository', path.join(folder, 'nosuch')], 1, 'a folder that can be read'],
    [['--repository', folder], 1, 'bad.safetensors'],
  ])('%j', (args, status, message) => {
    const result = run(...args);
    expect({ status: result.status, stdout: result.stdout }).toEqual({ status, stdout: '' });
    expect(result.stderr).toMatch(/^error: .*\n$/);
    expect(result.stderr).toContain(message);
  });

  test('a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const child = spawn(process.execPath, ['dist/cli/index.js', 'serve', '--port', `${port}`], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    child.stderr.on('data', (chunk) => {
      text += chunk;
    });
    expect((await once(child, 'exit'))[0]).toBe(1);
    expect(text).toContain('EADDRINUSE');
    other.close();
  });

  test('without fastify it says what to install', () => {
    const { status, stderr } = runNode(['--require', without('fastify'), 'dist/cli/index.js', 'serve', '--port', '0']);
    expect({ status, stderr }).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('npm install fastify prom-client'),
    });
  });
});
