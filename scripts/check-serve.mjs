// npm run check:serve -- [--long] [clients] [metrics] [reloads] [signals] [overload] [fairness]: the server among bad clients, signals
// and reloads, with too many requests, and with two models, on the loopback interface. All parts unless some are named. After bad
// clients, good requests are answered as before, and nothing waits any more. The long version is that of a release.

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createModel, saveModel } from 'qarepvgg';
import { postRequest, runLoad } from '../bench/lib/load.mjs';
import { end, firstLine, start, until } from './lib/children.mjs';
import { fairness, imageRequest, overload, packaged, residentMiB } from './lib/serve-load.mjs';

const isLong = process.argv.includes('--long');
const counts = isLong
  ? { slow: 100, aborts: 2000, floods: 100, terms: 50, reloads: 100, overload: 120, fairness: 10 }
  : { slow: 20, aborts: 200, floods: 5, terms: 3, reloads: 10, overload: 5, fairness: 3 };
const maxGrowthMiB = 32;

const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-check-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const served = join(folder, 'served.safetensors');
const side = 64;
const files = await Promise.all(
  [1, 2].map(async (seed) => {
    const file = join(folder, `${seed}.safetensors`);
    await saveModel(createModel('qarepvgg_a0', { numClasses: 10, inputSize: side, seed }).reparameterize(), file);
    return file;
  }),
);
copyFileSync(String(files[0]), served);

async function startServer(args = ['--model', `model=${served}`]) {
  const command = ['dist/cli/index.js', 'serve', '--port', '0', '--json', '--log-level', 'error'];
  const child = start(process.execPath, [...command, ...args]);
  const { url } = JSON.parse(await firstLine(child));
  return { child, url, port: Number(new URL(url).port) };
}

const path = '/v2/models/model/infer';
const pixels = Buffer.from(Float32Array.from({ length: side * side * 3 }, (_, i) => Math.sin(i)).buffer);
const headers = { 'inference-header-content-length': 0 };
const request = postRequest(path, headers, pixels);

/** As soon as the queue has room. @param {string} url @returns {Promise<Buffer>} */
async function answerOf(url) {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { 'inference-header-content-length': '0' },
    body: pixels,
  });
  const answer = Buffer.from(await response.arrayBuffer());
  if (response.status === 200) return answer;
  if (response.status !== 503) throw new Error(`expected status 200, received ${response.status}`);
  await sleep(20);
  return answerOf(url);
}

/** Parts that the command line names; all of them when it names none. */
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));

/** @type {string[]} */
const problems = [];
/** @param {string} part @param {string} facts @param {...(string | false)} found */
function report(part, facts, ...found) {
  const wrong = found.filter((problem) => problem !== false);
  console.log(`${part}: ${facts}${wrong.length > 0 ? ` - ${wrong.join('; ')}` : ''}`);
  problems.push(...wrong.map((problem) => `${part}: ${problem}`));
}

/** @param {import('../bench/lib/load.mjs').Result} result @param {string[]} [allowed] */
const faultsOf = ({ statuses, lost, wrong }, allowed = ['200']) =>
  (lost > 0 || wrong > 0 || !Object.keys(statuses).every((status) => allowed.includes(status))) &&
  JSON.stringify({ statuses, lost, wrong });

const server = await startServer();
const expected = [await answerOf(server.url)];
const load = (/** @type {number} */ seconds) => runLoad({ port: server.port, request, clients: 8, seconds, expected });
const open = () => connect({ port: server.port, host: '127.0.0.1' }).on('error', () => {});

/** Nothing waits, and a good request is answered. */
async function settle() {
  await until('gauges of 0', async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return /^qarepvgg_queue_requests\{.*\} 0$/m.test(text) && /^qarepvgg_queue_bytes 0$/m.test(text);
  });
  if (!(await answerOf(server.url)).equals(/** @type {Buffer} */ (expected[0])))
    throw new Error('expected the same answer');
}

async function slowClients() {
  const begin = (/** @type {string | Buffer} */ bytes) =>
    Array.from({ length: counts.slow }, () => {
      const socket = open().resume(); // or it would never see that the server closes
      socket.write(bytes);
      return socket;
    });
  const heads = begin('POST / HTTP/1.1\r\nhost:');
  const bodies = begin(request.subarray(0, 500));
  // Their requests are good ones, and may fill the queue.
  const readers = Array.from({ length: counts.slow }, () => {
    const socket = open();
    socket.pause();
    for (let i = 0; i < 10; i++) socket.write(request);
    return socket;
  });
  const slow = [...heads, ...bodies, ...readers];
  const result = await load(isLong ? 10 : 3);
  if (isLong)
    await until(
      'slow headers and bodies to be given up',
      () => [...heads, ...bodies].every(({ destroyed }) => destroyed),
      45,
    );
  for (const socket of slow) socket.destroy();
  await settle();
  report(
    'slow clients',
    `${slow.length}, good requests meanwhile ${result.perSecond.toFixed(0)}/s`,
    faultsOf(result, ['200', '503']),
  );
}

async function aborts() {
  const traffic = load(isLong ? 20 : 3);
  for (let i = 0; i < counts.aborts; i++) {
    const socket = open();
    socket.write(request.subarray(0, Math.floor(Math.random() * (request.length + 1))));
    setTimeout(() => (Math.random() < 0.5 ? socket.destroy() : socket.resetAndDestroy()), Math.random() * 50);
    if (i % 20 === 0) await sleep(20);
  }
  const result = await traffic;
  await settle();
  report('aborts', `${counts.aborts} at random points`, faultsOf(result));
}

async function floods() {
  const traffic = load(isLong ? 20 : 3);
  const chunks = Buffer.from('1\r\nx\r\n'.repeat(20_000));
  const ends = Array.from({ length: counts.floods }, async () => {
    const socket = open();
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n`);
    for (let i = 0; i < 10 && !socket.destroyed; i++) await new Promise((resolve) => socket.write(chunks, resolve));
    await until('a flood to be refused', () => socket.destroyed || answer !== '');
    socket.destroy();
    return answer.slice(9, 12);
  });
  const statuses = new Set(await Promise.all(ends));
  const result = await traffic;
  await settle();
  const isRefused = [...statuses].every((status) => status === '' || status.startsWith('4') || status === '503');
  report(
    'floods',
    `${counts.floods} of 200,000 chunks of one byte, refused with ${[...statuses]}`,
    faultsOf(result),
    !isRefused && 'not refused',
  );
}

async function badClients() {
  // Memory is compared with that of a server that has seen all of this before.
  /** @type {number[]} */
  const resident = [];
  for (let round = 0; round < 2; round++) {
    await slowClients();
    await aborts();
    await floods();
    resident.push(await residentMiB(server, request));
  }
  const [before, after] = /** @type {[number, number]} */ (resident);
  const growth = after - before;
  report(
    'memory',
    `${growth.toFixed(1)} MiB more the second time`,
    growth > maxGrowthMiB && `more than ${maxGrowthMiB}`,
  );
}

async function metrics() {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const output = execFileSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  report('metrics', 'as promtool likes them', output !== '' && output);
}

/** @param {number} clients those beyond 128 find the queue full at times */
async function reloadsBefore(clients) {
  copyFileSync(String(files[1]), served);
  const second = await startServer();
  const other = await answerOf(second.url);
  await end(second.child);
  copyFileSync(String(files[0]), served);
  const seconds = counts.reloads * 0.3 + 1;
  const traffic = runLoad({ port: server.port, request, clients, seconds, expected: [...expected, other] });
  /** @type {Buffer[]} */
  const seen = [];
  for (let i = 1; i <= counts.reloads; i++) {
    copyFileSync(String(files[i % 2]), `${served}.new`);
    renameSync(`${served}.new`, served);
    server.child.kill('SIGHUP');
    await sleep(300);
    seen.push(await answerOf(server.url));
  }
  const result = await traffic;
  const changes = seen.filter((answer, i) => i > 0 && !answer.equals(/** @type {Buffer} */ (seen[i - 1]))).length;
  report(
    'reloads',
    `${counts.reloads} under the load of ${clients} clients, ${changes} changes seen, ${JSON.stringify(result.statuses)}`,
    faultsOf(result, ['200', '503']),
    changes === 0 && 'never another model',
  );
  copyFileSync(String(files[0]), served);
}

async function reloads() {
  await reloadsBefore(8);
  await reloadsBefore(200);
}

async function signals() {
  let slowest = 0;
  /** @type {(string | false)[]} */
  const faults = [];
  for (let i = 0; i < counts.terms; i++) {
    const { child, port } = await startServer();
    const traffic = runLoad({ port, request, clients: 8, seconds: 1, expected, endsOnClose: true });
    await sleep(200 + Math.random() * 500);
    const begun = performance.now();
    const code = await end(child);
    slowest = Math.max(slowest, (performance.now() - begun) / 1000);
    const { statuses, lost, wrong } = await traffic;
    faults.push((code !== 0 || lost > 0 || wrong > 0) && JSON.stringify({ code, statuses, lost, wrong }));
  }
  report(
    'SIGTERM',
    `${counts.terms} under load, the slowest took ${slowest.toFixed(1)} s`,
    ...faults,
    slowest > 10 && 'more than 10 s',
  );
}

/** A file of a network with 10 classes and random weights. @param {import('qarepvgg').ArchitectureName} name @param {number} inputSize */
async function networkFile(name, inputSize) {
  const file = join(folder, `${name}-${inputSize}.safetensors`);
  await saveModel(createModel(name, { numClasses: 10, inputSize }).reparameterize(), file);
  return file;
}

async function tooMuch() {
  const [size, maxQueue, maxBatch] = [128, 64, 8];
  const limits = ['--max-queue', `${maxQueue}`, '--max-batch', `${maxBatch}`];
  const busy = await startServer(['--model', `model=${await networkFile('qarepvgg_a0', size)}`, ...limits]);
  const { facts, faults } = await overload(busy, {
    request: imageRequest('model', [1, 3, size, size]),
    seconds: counts.overload,
    // One batch computes, one is there when it is done, and the answers of two may be on their way.
    waiting: maxQueue + 4 * maxBatch,
  });
  report('overload', facts, ...faults);
  await end(busy.child);
}

async function twoModels() {
  const size = 224;
  const models = [`slow=${await networkFile('qarepvgg_b0', size)}`, `fast=${packaged.file}`];
  const both = await startServer(models.flatMap((model) => ['--model', model]));
  const { facts, faults } = await fairness(both, {
    slow: imageRequest('slow', [1, 3, size, size]),
    fast: imageRequest('fast', packaged.dims),
    seconds: counts.fairness,
  });
  report('fairness', facts, ...faults);
  await end(both.child);
}

const parts = { clients: badClients, metrics, reloads, signals, overload: tooMuch, fairness: twoModels };
const odd = wanted.find((name) => !Object.hasOwn(parts, name));
if (odd !== undefined) throw new Error(`expected parts among ${Object.keys(parts).join(', ')}, received ${odd}`);
for (const [name, part] of Object.entries(parts)) if (wanted.length === 0 || wanted.includes(name)) await part();
await end(server.child);
process.exit(problems.length === 0 ? 0 : 1);
