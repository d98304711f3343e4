import { mismatch } from '../../errors';

/** Bytes of memory that any file may take, in addition to its share by size. */
const baseBytes = 24 * 2 ** 20;

/** Memory per byte of the file, for objects in JavaScript and copies of tensors. */
const bytesPerByte = 8;

/**
 * Limits the memory for the objects of a file, so that a small file cannot ask for gigabytes. Costs are estimates, on the high
 * side. Opcodes have a cost, too, which bounds the time.
 */
export class Budget {
  readonly #total: number;
  #left: number;

  constructor(fileBytes: number) {
    this.#total = baseBytes + bytesPerByte * fileBytes;
    this.#left = this.#total;
  }

  /** @throws {QARepVGGError} ERR_LIMIT when less is left. */
  take(bytes: number): void {
    this.#left -= bytes;
    if (this.#left >= 0) return;
    throw mismatch('ERR_LIMIT', `objects of at most ${this.#total} bytes in a file of this size`, 'more');
  }
}
