// A side of a benchmark: a process that answers one line of JSON with one line of JSON, and sleeps in between.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export class Server {
  #child;
  #replies;

  /** @param {string} command @param {string[]} args @param {Record<string, string>} settings environment variables */
  constructor(command, args, settings = {}) {
    const env = { ...process.env, ...settings };
    // The default waits briefly and then sleeps; anything else would burn the other side's cores or slow this one.
    delete env.OMP_WAIT_POLICY;
    delete env.GOMP_SPINCOUNT;
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env });
    // A process that has died shows as the end of its replies.
    this.#child.stdin.on('error', () => {});
    this.#replies = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** @param {Record<string, unknown>} request */
  async ask(request) {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#replies.next();
    if (done) throw new Error(`${this.#child.spawnfile} ended without an answer to '${request.do}'`);
    return JSON.parse(value);
  }

  close() {
    this.#child.stdin.end();
  }
}

/**
 * The other end: answers the requests on stdin until it ends. A request's `do` names its handler.
 *
 * @param {Record<string, (request: any) => unknown>} handlers
 */
export async function answer(handlers) {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const reply = await handlers[request.do]?.(request);
    process.stdout.write(`${JSON.stringify(reply ?? {})}\n`);
  }
}
