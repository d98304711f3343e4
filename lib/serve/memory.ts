import { mismatch } from '../errors';

/** Blocks come in multiples of this; bodies below it are left to the garbage collector. */
export const blockUnit = 2 ** 16;

/**
 * The memory of requests: its limit, and blocks that large bodies are read into. Blocks are reused: the garbage collector would
 * have to mark the whole heap to find each hundred of them, and new ones are slow to get.
 */
export class RequestMemory {
  readonly limit: number;
  #used = 0;
  /** By size. */
  readonly #free = new Map<number, ArrayBuffer[]>();
  #freeBytes = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Bytes of requests. */
  get used(): number {
    return this.#used;
  }

  /** For one request, which takes bytes as it learns of them and returns all of them together. */
  open(): Hold {
    return new Hold(this);
  }

  /** @throws {QARepVGGError} ERR_BUSY when fewer bytes are left. */
  take(bytes: number): void {
    if (this.#used + bytes > this.limit) {
      throw mismatch('ERR_BUSY', 'queue', `at most ${this.limit} bytes of requests`, 'more');
    }
    this.#used += bytes;
  }

  giveBack(bytes: number): void {
    this.#used -= bytes;
  }

  /** Not zeroed. */
  takeBlock(bytes: number): ArrayBuffer {
    const size = Math.ceil(bytes / blockUnit) * blockUnit;
    const free = this.#free.get(size)?.pop();
    if (free) {
      this.#freeBytes -= size;
      return free;
    }
    // Free blocks of sizes that are no longer wanted make room for others.
    if (this.#used + this.#freeBytes > this.limit) {
      this.#free.clear();
      this.#freeBytes = 0;
    }
    return Buffer.allocUnsafeSlow(size).buffer as ArrayBuffer;
  }

  giveBackBlock(block: ArrayBuffer): void {
    const { byteLength } = block;
    if (this.#used + this.#freeBytes + byteLength > this.limit) return;
    this.#freeBytes += byteLength;
    const others = this.#free.get(byteLength);
    if (others) others.push(block);
    else this.#free.set(byteLength, [block]);
  }
}

/** What one request holds of it. */
export class Hold {
  readonly #memory: RequestMemory;
  #bytes = 0;
  #block: ArrayBuffer | undefined;
  #isReleased = false;

  constructor(memory: RequestMemory) {
    this.#memory = memory;
  }

  /** Once true, the block may belong to another request. */
  get isReleased(): boolean {
    return this.#isReleased;
  }

  /** @throws {QARepVGGError} ERR_BUSY when fewer are left. */
  take(bytes: number): void {
    this.#memory.take(bytes);
    this.#bytes += bytes;
  }

  /** Memory for the body, whose bytes have been taken; once for each request. Not zeroed, and freed by `release`. */
  block(bytes: number): ArrayBuffer {
    this.#block = this.#memory.takeBlock(bytes);
    return this.#block;
  }

  /** May be called again. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#memory.giveBack(this.#bytes);
    if (this.#block) this.#memory.giveBackBlock(this.#block);
    this.#block = undefined;
  }
}
