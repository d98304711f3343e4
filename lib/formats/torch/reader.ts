import { TextDecoder } from 'node:util';
import { mismatch, type QARepVGGError } from '../../errors';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Longest name of a module or class. */
const maxLine = 200;

const maxLongBytes = 255;

/** Reads the opcodes of a pickle and their arguments. */
export class PickleReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;
  #opcodeAt = 0;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Place of the last opcode, for messages. */
  get place(): string {
    return `byte ${this.#opcodeAt}`;
  }

  /** Place of the next byte. */
  get at(): number {
    return this.#at;
  }

  opcode(): number {
    this.#opcodeAt = this.#at;
    return this.uint8();
  }

  uint8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** Numbers beyond 2^53 are rounded; no file has them. */
  uint64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true));
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  /** An integer of `length` bytes in two's complement; a bigint if a number cannot hold it. */
  long(length: number): number | bigint {
    if (length > maxLongBytes) throw this.#broken(`an integer of at most ${maxLongBytes} bytes`, `${length}`);
    const start = this.#take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#view.getUint8(start + i));
    const signed = BigInt.asIntN(8 * length, value);
    const number = Number(signed);
    return Number.isSafeInteger(number) ? number : signed;
  }

  /** Undefined if it is not UTF-8. */
  text(length: number): string | undefined {
    return this.#decode(this.#take(length), length);
  }

  skip(length: number): void {
    this.#take(length);
  }

  /** Text up to the end of the line. */
  line(): string {
    const start = this.#at;
    const length = this.#bytes.subarray(start, start + maxLine + 1).indexOf(0x0a);
    if (length === -1) throw this.#broken(`a line of at most ${maxLine} bytes`, 'none');
    this.#at += length + 1;
    const line = this.#decode(start, length);
    if (line === undefined) throw this.#broken('text in UTF-8', 'other bytes');
    return line;
  }

  /** Skips `length` bytes. Returns where they start. */
  #take(length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) throw this.#broken(`${length} more bytes`, 'the end');
    this.#at += length;
    return start;
  }

  #decode(start: number, length: number): string | undefined {
    try {
      return utf8.decode(this.#bytes.subarray(start, start + length));
    } catch {
      return undefined;
    }
  }

  #broken(expected: string, received: string): QARepVGGError {
    return mismatch('ERR_MODEL_FORMAT', this.place, expected, received);
  }
}
