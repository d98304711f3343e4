import type { IncomingMessage, Server } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { mismatch, QARepVGGError } from '../../errors';
import { releaseMemory } from '../../index';
import { blockUnit, type Hold } from '../memory';

/** A body whose chunks are smaller than this on average costs more than it is worth: it is refused after `freeChunks` chunks. */
const minMeanChunk = 64;
const freeChunks = 4096;

/** The bytes after the header of a binary request are aligned to this. */
const alignment = 8;

/** How a body is read. */
export interface BodyOptions {
  /** In bytes. */
  readonly limit: number;
  /** What follows this many bytes begins at an aligned address, so that tensors there need no copy. */
  readonly headerLength?: number | undefined;
  /** Whether something reads the body even after the request has ended: then its memory cannot be reused. */
  readonly outlivesRequest?: boolean;
}

/**
 * Reads the body of a request as it comes. Its memory is freed when `hold` is released, unless it outlives the request.
 *
 * @throws {QARepVGGError} (rejects) ERR_BUSY, ERR_LIMIT, ERR_INVALID_ARG, ERR_ABORTED
 */
export function readBody(request: FastifyRequest, hold: Hold, options: BodyOptions): Promise<Buffer> {
  const { raw } = request;
  return new Promise((resolve, reject) => {
    const body = new Body(hold, options, declaredLength(request));
    let isOver = false;
    const fail = (error: unknown): void => {
      isOver = true;
      raw.off('data', onData);
      body.discard();
      discardBody(request);
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      try {
        body.add(chunk);
      } catch (error) {
        release(chunk);
        fail(error);
      }
    };
    const onEnd = (): void => {
      if (isOver) return;
      try {
        resolve(body.end());
        isOver = true;
      } catch (error) {
        fail(error);
      }
    };
    awaited.get(raw)?.();
    raw.on('data', onData).on('end', onEnd);
    // After a client that leaves, too: there is no error without listeners for it.
    raw.on('close', () => isOver || fail(new QARepVGGError('ERR_ABORTED', 'request aborted')));
  });
}

/**
 * Reads what is left of a body, so that the next request of the connection can be read, and keeps nothing of it. Node would leave
 * each chunk to the garbage collector, which then works all the time while requests are refused.
 */
export function discardBody({ raw }: FastifyRequest): void {
  raw.on('data', release);
}

/** Requests whose clients send the body only when asked (Expect: 100-continue), and the functions that ask. */
const awaited = new WeakMap<IncomingMessage, () => void>();

/** Asks for such a body when it is read: a refused request never sends it. */
export function awaitBodies(server: Server): void {
  server.on('checkContinue', (request, response) => {
    const { shouldKeepAlive } = response;
    // A refused client may send its body all the same, so the connection ends here.
    response.shouldKeepAlive = false;
    awaited.set(request, () => {
      response.shouldKeepAlive = shouldKeepAlive;
      response.writeContinue();
    });
    server.emit('request', request, response);
  });
}

/** Chunks on their way to one buffer. */
class Body {
  readonly #hold: Hold;
  readonly #options: BodyOptions;
  /** Bytes that the client has announced; Node enforces the number. */
  readonly #declared: number | undefined;
  /** Where the chunks go once their sum is known. */
  #target: Buffer | undefined;
  #chunks: Buffer[] = [];
  #length = 0;
  #count = 0;

  constructor(hold: Hold, options: BodyOptions, declared: number | undefined) {
    this.#hold = hold;
    this.#options = options;
    this.#declared = declared;
    if (declared === undefined) return;
    if (declared > options.limit) throw tooLarge(options.limit, `${declared}`);
    this.#take(declared);
  }

  add(chunk: Buffer): void {
    // Its memory may be another request's by now.
    if (this.#hold.isReleased) throw new QARepVGGError('ERR_ABORTED', 'request aborted');
    const { length } = chunk;
    this.#count++;
    if (this.#length + length > this.#options.limit) throw tooLarge(this.#options.limit, 'more');
    if (this.#count > freeChunks && this.#length < this.#count * minMeanChunk) {
      throw mismatch('ERR_LIMIT', 'body', `chunks of ${minMeanChunk} bytes or more`, 'smaller ones');
    }
    if (this.#declared === undefined) this.#hold.take(length);
    // A small body comes in one chunk, which is used as it is.
    if (this.#declared === undefined || length === this.#declared) this.#chunks.push(chunk);
    else {
      this.#target ??= this.#buffer(this.#declared);
      chunk.copy(this.#target, this.#length);
      release(chunk);
    }
    this.#length += length;
  }

  /** Nothing more comes, and nothing reads what has come. */
  discard(): void {
    for (const chunk of this.#chunks) release(chunk);
    this.#chunks = [];
  }

  /** All of it. @throws {QARepVGGError} ERR_BUSY */
  end(): Buffer {
    if (this.#target) return this.#target;
    const [only, ...others] = this.#chunks;
    if (only && others.length === 0) return only;
    this.#hold.giveBack(this.#length);
    this.#take(this.#length);
    const whole = this.#buffer(this.#length);
    let offset = 0;
    for (const chunk of this.#chunks) {
      offset += chunk.copy(whole, offset);
      release(chunk);
    }
    return whole;
  }

  /** Bytes before the body in its memory, so that what follows the header is aligned. */
  get #shift(): number {
    const { headerLength = 0 } = this.#options;
    return (alignment - (headerLength % alignment)) % alignment;
  }

  #hasBlock(size: number): boolean {
    return size >= blockUnit && !this.#options.outlivesRequest;
  }

  #take(size: number): void {
    if (this.#hasBlock(size)) this.#hold.takeBlock(size + this.#shift);
    else this.#hold.take(size);
  }

  /** Not zeroed: it leaves this class only when every byte has been written. */
  #buffer(size: number): Buffer {
    const shift = this.#shift;
    if (this.#hasBlock(size)) return Buffer.from(this.#hold.block, shift, size);
    return Buffer.allocUnsafeSlow(size + shift).subarray(shift);
  }
}

/** Frees a chunk, which Node had copied into a buffer of its own. */
function release({ buffer, byteLength }: Buffer): void {
  if (buffer.byteLength === byteLength) releaseMemory(buffer as ArrayBuffer);
}

function declaredLength({ headers }: FastifyRequest): number | undefined {
  const length = headers['content-length'];
  return length === undefined ? undefined : Number(length);
}

function tooLarge(limit: number, received: string): QARepVGGError {
  return mismatch('ERR_LIMIT', 'body', `at most ${limit} bytes`, received);
}
