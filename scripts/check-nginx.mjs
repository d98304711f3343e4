// npm run check:nginx -- [seconds]: examples/deploy/nginx.conf with two processes of the server (Debian: apt-get install nginx).
// Measures the throughput of one process alone, of one behind nginx, and of both behind nginx; then kills one of two with SIGKILL
// and restarts both, one after the other, under load: no request may fail, and each answer must be right.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createModel, saveModel } from 'qarepvgg';
import { Server } from '../bench/lib/server.mjs';
import { connect } from '../dist/client/index.js';
import { end, firstLine, freePort, start, until } from './lib/children.mjs';

const seconds = Number(process.argv[2] ?? 5);
const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-nginx-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const side = 96;
const file = join(folder, 'model.safetensors');
await saveModel(createModel('qarepvgg_a0', { numClasses: 10, inputSize: side }).reparameterize(), file);

/** A process with one thread, listening. @param {number} port */
async function serve(port) {
  const args = ['dist/cli/index.js', 'serve', '--model', `a0=${file}`, '--port', `${port}`, '--threads', '1', '--json'];
  const child = start(process.execPath, args);
  await firstLine(child);
  return child;
}

const [proxy, ...ports] = await Promise.all([freePort(), freePort(), freePort()]);
const [first, second] = /** @type {[number, number]} */ (ports);
let processes = await Promise.all(ports.map(serve));

/** nginx before these processes. @param {number[]} upstream */
async function startNginx(upstream) {
  const servers = upstream.map((port) => `server 127.0.0.1:${port} max_fails=0;`);
  const config = readFileSync('examples/deploy/nginx.conf', 'utf8')
    .replace(/( *server 127.0.0.1:808\d .*\n)+/, `${servers.join('\n')}\n`)
    .replace('error_log stderr error', 'error_log stderr crit')
    .replace('listen 127.0.0.1:8080', `listen 127.0.0.1:${proxy}`);
  // As root, nginx would give up its rights and could not reach the folder.
  const user = process.getuid?.() === 0 ? 'user root;\n' : '';
  writeFileSync(join(folder, 'nginx.conf'), `${user}pid ${folder}/nginx.pid;\n${config}`);
  const nginx = start('nginx', ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')]);
  const client = connect(`http://127.0.0.1:${proxy}`, { retries: 0 });
  await until('nginx to answer', () => client.live());
  client.close();
  return nginx;
}

// One image in bytes, by a header of JSON and then the tensor; the answer that is right.
const head = JSON.stringify({
  inputs: [
    {
      name: 'input',
      datatype: 'UINT8',
      shape: [1, side, side, 3],
      parameters: { binary_data_size: side * side * 3 },
    },
  ],
  parameters: { binary_data_output: true },
});
const pixels = Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * 7) % 256);
const [body, expected] = [join(folder, 'body'), join(folder, 'expected')];
writeFileSync(body, Buffer.concat([Buffer.from(head), pixels]));
const headers = { 'inference-header-content-length': `${head.length}` };
const path = '/v2/models/a0/infer';
const right = await fetch(`http://127.0.0.1:${first}${path}`, { method: 'POST', headers, body: readFileSync(body) });
writeFileSync(expected, Buffer.from(await right.arrayBuffer()));

const side1 = new Server(process.execPath, ['bench/load-side.mjs']);
/** @param {number} port @param {number} time @returns {Promise<import('../bench/lib/load.mjs').Result>} */
const load = (port, time) => side1.ask({ do: 'load', port, path, headers, body, expected, clients: 32, seconds: time });

await load(first, 1);
await load(second, 1);
const alone = await load(first, seconds);
const nginxOfOne = await startNginx([first]);
const throughOne = await load(proxy, seconds);
await end(nginxOfOne, 'SIGQUIT');
const nginx = await startNginx([first, second]);
const throughTwo = await load(proxy, seconds);

const duringKill = load(proxy, seconds);
await sleep(seconds * 300);
await end(/** @type {import('./lib/children.mjs').Child} */ (processes[0]), 'SIGKILL');
const killed = await duringKill;
processes = [await serve(first), /** @type {import('./lib/children.mjs').Child} */ (processes[1])];

const duringRestart = load(proxy, seconds * 2);
/** @type {(number | null)[]} */
const codes = [];
for (const [i, child] of processes.entries()) {
  await sleep(seconds * 300);
  codes.push(await end(child));
  processes[i] = await serve(Number(ports[i]));
}
const restarted = await duringRestart;
side1.close();
await end(nginx, 'SIGQUIT');
await Promise.all(processes.map((child) => end(child)));

const rows = { alone, throughOne, throughTwo, killed, restarted };
for (const [name, { perSecond, ms, statuses, lost, wrong }] of Object.entries(rows)) {
  const rate = `${perSecond.toFixed(0)} images/s, p50 ${ms.p50.toFixed(1)} ms, p99 ${ms.p99.toFixed(1)} ms`;
  console.log(`${name.padEnd(10)}  ${rate}, ${JSON.stringify(statuses)}, ${lost} lost, ${wrong} wrong`);
}
const failed = Object.entries(rows).filter(
  ([, { statuses, lost, wrong }]) => lost + wrong > 0 || Object.keys(statuses).join() !== '200',
);
for (const [name] of failed) console.error(`${name}: requests failed`);
if (codes.some((code) => code !== 0)) console.error(`processes ended with ${codes}`);
process.exit(failed.length > 0 || codes.some((code) => code !== 0) ? 1 : 0);
