// Load on an HTTP server of the loopback interface: raw sockets that send one prepared request over and over, so that the client
// takes as little as it can of the machine that it shares with the server.

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { percentile } from './numbers.mjs';

/**
 * @typedef {object} Load
 * @property {number} port
 * @property {Buffer} request the bytes of a whole HTTP request
 * @property {number} clients connections, each with one request at a time
 * @property {number} seconds
 * @property {number} [warmUp] the first so many of them do not count for the rate: while the first batch computes nobody has an answer,
 *   and the last one has none yet when the time is over
 * @property {number} [rate] requests a second, sent whether or not earlier ones are answered while connections are left; without
 *   it, each client sends its next request when it has the answer to the one before
 * @property {Buffer[]} [expected] bodies, of which each answer with status 200 must have one
 * @property {boolean} [endsOnClose] a client that is told that its connection closes sends nothing more
 *
 * @typedef {object} Result
 * @property {number} seconds
 * @property {Record<string, number>} statuses how many answers of each status
 * @property {number} lost requests whose connection ended before their answer
 * @property {number} refused requests that found nobody who listens
 * @property {number} wrong answers of status 200 with another body
 * @property {number} perSecond answers of status 200 after the warm-up
 * @property {{ p50: number, p99: number }} ms from request to answer, of status 200
 * @property {{ p99: number }} refusedMs of other statuses
 * @property {{ p99: number }} ahead answers of status 200 from a request to its own, which do not depend on how fast the machine is
 */

/** A POST. @param {string} path @param {Record<string, string | number>} headers @param {Uint8Array} body */
export function postRequest(path, headers, body) {
  const lines = Object.entries({ host: '127.0.0.1', ...headers, 'content-length': body.length });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${head}\r\n`), body]);
}

/** One connection with at most one request on its way. */
class Client {
  /** @type {import('node:net').Socket | undefined} */
  #socket;
  /** @type {Buffer[]} */
  #chunks = [];
  #length = 0;
  /** Bytes of the answer, once its head is there. */
  #whole = Number.POSITIVE_INFINITY;
  #sentAt = 0;
  isBusy = false;
  isConnected = false;
  /** Answers that the load had when this request was sent. */
  answeredBefore = 0;
  get isClosed() {
    return this.#socket === undefined;
  }

  /** @param {number} port @param {(client: Client, status: number | undefined, ms: number, body: Buffer) => void} onAnswer */
  constructor(port, onAnswer) {
    this.port = port;
    this.onAnswer = onAnswer;
  }

  /** @param {Buffer} request */
  send(request) {
    this.isBusy = true;
    this.#sentAt = performance.now();
    if (!this.#socket) this.#open();
    this.#socket?.write(request);
  }

  #open() {
    const socket = connect({ port: this.port, host: '127.0.0.1', noDelay: true });
    this.#socket = socket;
    this.isConnected = false;
    socket.on('connect', () => {
      this.isConnected = true;
    });
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      if (this.isBusy) this.#finish(undefined, Buffer.alloc(0));
    });
  }

  /** @param {Buffer} chunk */
  #receive(chunk) {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#whole === Number.POSITIVE_INFINITY) {
      const bytes = this.#join();
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = bytes.toString('latin1', 0, end);
      this.#whole = end + 4 + Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
      this.head = head;
    }
    if (this.#length < this.#whole) return;
    const bytes = this.#join();
    const head = String(this.head);
    // The server will close it: what is sent now would be lost.
    if (/connection: close/i.test(head)) this.close();
    this.#finish(Number(head.slice(9, 12)), bytes.subarray(head.length + 4, this.#whole));
  }

  #join() {
    const bytes = this.#chunks.length === 1 ? /** @type {Buffer} */ (this.#chunks[0]) : Buffer.concat(this.#chunks);
    this.#chunks = [bytes];
    return bytes;
  }

  /** @param {number | undefined} status @param {Buffer} body */
  #finish(status, body) {
    this.#chunks = [];
    this.#length = 0;
    this.#whole = Number.POSITIVE_INFINITY;
    this.isBusy = false;
    this.onAnswer(this, status, performance.now() - this.#sentAt, body);
  }

  close() {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }
}

/** @param {Load} load @returns {Promise<Result>} */
export async function runLoad({
  port,
  request,
  clients: count,
  seconds,
  warmUp = 0,
  rate,
  expected,
  endsOnClose = false,
}) {
  /** @type {Record<string, number>} */
  const statuses = {};
  /** @type {number[]} */
  const times = [];
  /** @type {number[]} */
  const refused = [];
  /** @type {number[]} */
  const ahead = [];
  let [lost, unreached, wrong] = [0, 0, 0];
  let isOver = false;
  /** @type {Client[]} */
  const idle = [];
  const send = (/** @type {Client} */ client) => {
    client.answeredBefore = times.length;
    client.send(request);
  };

  const clients = Array.from({ length: count }, () => {
    return new Client(port, (client, status, ms, body) => {
      if (status === undefined && client.isConnected) lost++;
      else if (status === undefined) unreached++;
      else statuses[status] = (statuses[status] ?? 0) + 1;
      if (status === 200) {
        ahead.push(times.length - client.answeredBefore);
        times.push(ms);
        if (expected && !expected.some((one) => body.equals(one))) wrong++;
      } else if (status !== undefined) refused.push(ms);
      if (isOver || rate !== undefined || (endsOnClose && client.isClosed)) idle.push(client);
      // A server that is away or refuses is not asked again at once.
      else if (status !== 200) setTimeout(() => (isOver ? idle.push(client) : send(client)), 20);
      else send(client);
    });
  });
  const start = performance.now();
  const counted = { from: start, answers: 0 };
  if (warmUp > 0) {
    setTimeout(() => {
      counted.from = performance.now();
      counted.answers = times.length;
    }, warmUp * 1000);
  }
  if (rate === undefined) for (const client of clients) send(client);
  else {
    idle.push(...clients);
    let sent = 0;
    while (performance.now() - start < seconds * 1000) {
      const due = ((performance.now() - start) / 1000) * rate;
      for (; sent < due; sent++) {
        const client = idle.pop();
        if (client) send(client);
      }
      await sleep(2);
    }
  }
  const left = seconds * 1000 - (performance.now() - start);
  if (left > 0) await sleep(left);
  isOver = true;
  const end = performance.now();
  const perSecond = ((times.length - counted.answers) * 1000) / (end - counted.from);
  const deadline = performance.now() + 35_000;
  while (clients.some(({ isBusy }) => isBusy) && performance.now() < deadline) await sleep(10);
  for (const client of clients) client.close();
  const quantile = (/** @type {number[]} */ list, /** @type {number} */ percent) =>
    list.length === 0 ? 0 : percentile(list, percent);
  return {
    seconds: (end - start) / 1000,
    statuses,
    lost,
    refused: unreached,
    wrong,
    perSecond,
    ms: { p50: quantile(times, 50), p99: quantile(times, 99) },
    refusedMs: { p99: quantile(refused, 99) },
    ahead: { p99: quantile(ahead, 99) },
  };
}
