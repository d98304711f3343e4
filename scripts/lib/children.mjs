// Processes that a check starts. All of them end with it, however it ends.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {import('node:child_process').ChildProcess} Child */

/** @type {Set<Child>} */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.once(signal, () => process.exit(1));

/** @param {string} command @param {readonly string[]} args @param {NodeJS.ProcessEnv} [env] @returns {Child} */
export function start(command, args, env = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', (error) => {
    running.delete(child);
    console.error(`${command}: ${error.message}`);
    process.exit(1);
  });
  return child;
}

/** The first line that a process prints; what follows is dropped. @param {Child} child @returns {Promise<string>} */
export async function firstLine(child) {
  const lines = createInterface({ input: /** @type {import('node:stream').Readable} */ (child.stdout) });
  const line = await Promise.race([
    once(lines, 'line').then(([text]) => text),
    once(child, 'exit').then(() => undefined),
  ]);
  if (line === undefined) throw new Error(`expected a line of ${child.spawnfile}, received its end`);
  return line;
}

/** Ends a process with a signal and waits until it has ended. @param {Child} child @param {NodeJS.Signals} signal */
export async function end(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  child.kill(signal);
  await once(child, 'exit');
  return child.exitCode;
}

/** A port of the loopback interface that nobody listens on. @returns {Promise<number>} */
export async function freePort() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return /** @type {import('node:net').AddressInfo} */ (address).port;
}

/** Until a condition holds. @param {string} what @param {() => unknown | Promise<unknown>} holds @param {number} [seconds] */
export async function until(what, holds, seconds = 60) {
  const deadline = performance.now() + seconds * 1000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`expected ${what} within ${seconds} s`);
    await sleep(20);
  }
}
