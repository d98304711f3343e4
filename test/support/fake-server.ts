import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as it came over the wire. */
export interface Received {
  readonly line: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Answers one request; anything that node:http can send. */
export type Answer = (response: ServerResponse, request: Received) => void;

/** A server of hand-written answers: each request takes the next one, the last one stays. */
export class FakeServer {
  readonly received: Received[] = [];
  connections = 0;
  readonly #server: Server;
  #answers: Answer[] = [];

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const line = `${request.method} ${request.url}`;
      const received = { line, headers: request.headers, body: Buffer.concat(chunks) };
      this.received.push(received);
      const answer = this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0];
      answer?.(response, received);
    });
    this.#server.on('connection', () => this.connections++);
  }

  static async start(): Promise<FakeServer> {
    const fake = new FakeServer();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  willAnswer(...answers: Answer[]): void {
    this.#answers = answers;
    this.received.length = 0;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return (response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

/** A header of JSON, then bytes, as the binary tensor extension has it. */
export function binary(header: unknown, ...tensors: Uint8Array[]): Answer {
  const head = Buffer.from(JSON.stringify(header));
  const headers = { 'Content-Type': 'application/octet-stream', 'Inference-Header-Content-Length': head.length };
  return (response) => response.writeHead(200, headers).end(Buffer.concat([head, ...tensors]));
}
