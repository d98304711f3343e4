import {
  type Agent,
  Agent as HttpAgent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as requestHttp,
} from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { failure, mismatch, QARepVGGError } from '../errors';
import type { Settings } from './options';

/** Header of the binary tensor extension: how much of a body is JSON; tensors follow it. */
export const lengthHeader = 'inference-header-content-length';

export const octets = 'application/octet-stream';

/** What is sent besides method and path. */
export interface Body {
  readonly bytes?: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Call extends Body {
  readonly method: 'GET' | 'POST';
  /** Below the server's address, from its slash on. */
  readonly path: string;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** One server: its address and the connections to it. */
export class Transport {
  readonly #base: URL;
  readonly #agent: Agent;
  readonly #isOwn: boolean;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #maxBytes: number;

  constructor(base: URL, { token, headers, connections, maxResponseBytes, agent }: Settings) {
    this.#base = base;
    const Own = base.protocol === 'https:' ? HttpsAgent : HttpAgent;
    this.#agent = agent ?? new Own({ keepAlive: true, maxSockets: connections, scheduling: 'lifo' });
    this.#isOwn = agent === undefined;
    this.#headers = { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) };
    this.#maxBytes = maxResponseBytes;
  }

  /**
   * Sends a request and reads the whole answer, whatever its status.
   *
   * @throws {QARepVGGError} (rejects) ERR_CONNECTION; ERR_LIMIT for an answer that is too long; the signal's reason.
   */
  send({ method, path, headers, bytes }: Call, signal: AbortSignal): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const open = this.#base.protocol === 'https:' ? requestHttps : requestHttp;
      const { pathname } = this.#base;
      const request = open({
        protocol: this.#base.protocol,
        hostname: this.#base.hostname.replace(/^\[|\]$/g, ''),
        port: this.#base.port,
        path: `${pathname.replace(/\/$/, '')}${path}`,
        method,
        agent: this.#agent,
        headers: { ...this.#headers, ...headers, ...(method === 'POST' && { 'content-length': bytes?.length ?? 0 }) },
      });
      const onAbort = () => request.destroy(signal.reason);
      signal.addEventListener('abort', onAbort);
      const fail = (error: Error) => {
        const cause = signal.aborted ? signal.reason : error;
        reject(cause instanceof QARepVGGError ? cause : connectionError(cause));
      };
      request.on('error', fail);
      request.on('response', (response) => {
        readAll(response, this.#maxBytes).then((body) => {
          resolve({ status: Number(response.statusCode), headers: response.headers, body });
        }, fail);
      });
      request.on('close', () => signal.removeEventListener('abort', onAbort));
      if (signal.aborted) onAbort();
      request.end(bytes);
    });
  }

  close(): void {
    if (this.#isOwn) this.#agent.destroy();
  }
}

async function readAll(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    // Leaving the loop destroys the response, and the connection with it.
    if (length > maxBytes) throw mismatch('ERR_LIMIT', 'answer', `at most ${maxBytes} bytes`, 'more');
    chunks.push(chunk);
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, length);
}

function connectionError(error: Error): QARepVGGError {
  const { code = error.message } = error as NodeJS.ErrnoException;
  return failure('ERR_CONNECTION', `expected an answer from the server, received ${code}`, { cause: error });
}
