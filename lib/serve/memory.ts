import { mismatch } from '../errors';
import { releaseMemory } from '../index';

/** Blocks come in multiples of this; bodies below it are left to the garbage collector. */
export const blockUnit = 2 ** 16;

/**
 * The memory of requests: its limit, and blocks that large bodies are read into. Blocks are reused: the garbage collector would
 * have to mark the whole heap to find each hundred of them, and new ones are slow to get. Requests and blocks that wait for one
 * do not exceed the limit together.
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
    this.#check(bytes);
    this.#used += bytes;
    this.#makeRoom();
  }

  /** Takes what a block for so many bytes has, and returns a free one if there is one. @throws {QARepVGGError} ERR_BUSY */
  takeBlock(bytes: number): ArrayBuffer | undefined {
    this.#check(bytes);
    const size = blockSize(bytes);
    this.#used += size;
    const block = this.#free.get(size)?.pop();
    if (block) this.#freeBytes -= size;
    this.#makeRoom();
    return block;
  }

  giveBack(bytes: number): void {
    this.#used -= bytes;
  }

  giveBackBlock(block: ArrayBuffer): void {
    const { byteLength } = block;
    this.#used -= byteLength;
    this.#freeBytes += byteLength;
    const others = this.#free.get(byteLength);
    if (others) others.push(block);
    else this.#free.set(byteLength, [block]);
  }

  #check(bytes: number): void {
    if (this.#used + bytes <= this.limit) return;
    throw mismatch('ERR_BUSY', 'queue', `at most ${this.limit} bytes of requests`, 'more');
  }

  /** Free blocks, which are of sizes that are no longer wanted, make room for requests. */
  #makeRoom(): void {
    for (const [size, blocks] of this.#free) {
      while (this.#used + this.#freeBytes > this.limit) {
        const block = blocks.pop();
        if (!block) break;
        releaseMemory(block);
        this.#freeBytes -= size;
      }
      if (blocks.length === 0) this.#free.delete(size);
    }
  }
}

/** Bytes of a block for so many bytes. */
function blockSize(bytes: number): number {
  return Math.ceil(bytes / blockUnit) * blockUnit;
}

/** What one request holds of it. */
export class Hold {
  readonly #memory: RequestMemory;
  #bytes = 0;
  /** Bytes of the block; 0 without one. */
  #size = 0;
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

  giveBack(bytes: number): void {
    this.#memory.giveBack(bytes);
    this.#bytes -= bytes;
  }

  /** Takes what a block for so many bytes has; once for each request. @throws {QARepVGGError} ERR_BUSY when fewer are left. */
  takeBlock(bytes: number): void {
    this.#block = this.#memory.takeBlock(bytes);
    this.#size = blockSize(bytes);
  }

  /** Memory for the body. Not zeroed, and freed by `release`; a new one exists from here on only. */
  get block(): ArrayBuffer {
    this.#block ??= Buffer.allocUnsafeSlow(this.#size).buffer as ArrayBuffer;
    return this.#block;
  }

  /** May be called again. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#memory.giveBack(this.#bytes);
    if (this.#block) this.#memory.giveBackBlock(this.#block);
    else this.#memory.giveBack(this.#size);
    this.#block = undefined;
  }
}
