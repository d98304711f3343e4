/** How protocol buffers encode values (https://protobuf.dev/programming-guides/encoding). Groups are refused: ONNX has none. */
export const wireTypes = { varint: 0, bits64: 1, bytes: 2, bits32: 5 } as const;

export type WireType = (typeof wireTypes)[keyof typeof wireTypes];

/** A varint of 64 bits has a low, a middle and a high part of 28, 28 and 8 bits, so that each is a small number. */
const part = 2 ** 28;

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads values one after the other. Its methods throw an Error for what is malformed, and at the end of the bytes. */
export class WireReader {
  position = 0;
  readonly #bytes: Buffer;
  #low = 0;
  #middle = 0;
  #high = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get isAtEnd(): boolean {
    return this.position >= this.#bytes.length;
  }

  /** The number of a field times 8, plus its wire type. */
  tag(): number {
    const tag = this.#unsigned();
    if (tag < 8) throw new Error(`field ${tag >>> 3}`);
    return tag;
  }

  /** A varint of 64 bits with a sign, rounded beyond 2^53. */
  integer(): number {
    const byte = this.#bytes[this.position] as number;
    if (byte < 128) {
      this.position++;
      return byte;
    }
    this.#readVarint();
    if (this.#high < 128) return (this.#high * part + this.#middle) * part + this.#low;
    return -(((255 - this.#high) * part + (part - 1 - this.#middle)) * part + (part - this.#low));
  }

  /** Same as {@link integer}, exact. */
  bigInteger(): bigint {
    this.#readVarint();
    return BigInt.asIntN(64, BigInt(this.#high * part + this.#middle) * BigInt(part) + BigInt(this.#low));
  }

  float(): number {
    return this.#bytes.readFloatLE(this.#skipped(4));
  }

  double(): number {
    return this.#bytes.readDoubleLE(this.#skipped(8));
  }

  /** Reads a length; returns the end of the message, list, text or bytes that begin here. */
  end(): number {
    const end = this.#unsigned() + this.position;
    if (end > this.#bytes.length) throw new Error('a length beyond the end');
    return end;
  }

  /** A view. */
  bytes(): Uint8Array {
    const end = this.end();
    const { buffer, byteOffset } = this.#bytes;
    const bytes = new Uint8Array(buffer, byteOffset + this.position, end - this.position);
    this.position = end;
    return bytes;
  }

  text(): string {
    const end = this.end();
    const start = this.position;
    const text = this.#bytes.toString('utf8', start, end);
    this.position = end;
    // A Buffer takes a fraction of the time of a `TextDecoder`, and puts U+FFFD in place of what is no UTF-8.
    return text.includes('\ufffd') ? strict.decode(this.#bytes.subarray(start, end)) : text;
  }

  skip(wireType: number): void {
    if (wireType === wireTypes.varint) this.#readVarint();
    else if (wireType === wireTypes.bytes) this.position = this.end();
    else if (wireType === wireTypes.bits32) this.#skipped(4);
    else if (wireType === wireTypes.bits64) this.#skipped(8);
    else throw new Error(`wire type ${wireType}`);
  }

  /** A varint of 32 bits; further ones are dropped. */
  #unsigned(): number {
    const byte = this.#bytes[this.position] as number;
    if (byte < 128) {
      this.position++;
      return byte;
    }
    this.#readVarint();
    return (this.#low | (this.#middle << 28)) >>> 0;
  }

  #readVarint(): void {
    let low = 0;
    let middle = 0;
    let high = 0;
    for (let shift = 0; ; shift += 7) {
      if (shift > 63) throw new Error('a number of more than 64 bits');
      const byte = this.#bytes[this.position++];
      if (byte === undefined) throw new Error('a number beyond the end');
      const bits = byte & 127;
      if (shift < 28) low |= bits << shift;
      else if (shift < 56) middle |= bits << (shift - 28);
      else high |= bits << (shift - 56);
      if (byte < 128) break;
    }
    this.#low = low;
    this.#middle = middle;
    this.#high = high & 255;
  }

  /** Skips bytes; returns their place. */
  #skipped(count: number): number {
    const start = this.position;
    if (start + count > this.#bytes.length) throw new Error('a number beyond the end');
    this.position += count;
    return start;
  }
}

/** Writes values one after the other. */
export class WireWriter {
  readonly #parts: Uint8Array[] = [];
  /** The bytes after the last part. */
  #bytes: number[] = [];

  tag(field: number, wireType: WireType): void {
    this.#varint(field * 8 + wireType);
  }

  /** An integer; above the largest one of 64 bits, that one. */
  integer(value: number): void {
    if (value >= 0 && value < 2 ** 53) this.#varint(value);
    else {
      let rest = BigInt.asUintN(64, BigInt(value < 2 ** 63 ? value : 2 ** 63 - 1024));
      for (; rest > 127n; rest >>= 7n) this.#bytes.push(Number(rest & 127n) | 128);
      this.#bytes.push(Number(rest));
    }
  }

  float(value: number): void {
    this.#add(new Uint8Array(Float32Array.of(value).buffer));
  }

  double(value: number): void {
    this.#add(new Uint8Array(Float64Array.of(value).buffer));
  }

  /** Their length, and the bytes, which must not change until `finish`. */
  bytes(bytes: Uint8Array): void {
    this.#varint(bytes.length);
    this.#add(bytes);
  }

  /** The length of what a function writes, and this. */
  nested(write: () => void): void {
    this.#close();
    const place = this.#parts.push(new Uint8Array()) - 1;
    write();
    this.#close();
    this.#varint(lengthOf(this.#parts.slice(place)));
    this.#parts[place] = Uint8Array.from(this.#bytes);
    this.#bytes = [];
  }

  finish(): Uint8Array {
    this.#close();
    const all = new Uint8Array(lengthOf(this.#parts));
    let place = 0;
    for (const bytes of this.#parts) {
      all.set(bytes, place);
      place += bytes.length;
    }
    return all;
  }

  #varint(value: number): void {
    let rest = value;
    for (; rest > 127; rest = Math.floor(rest / 128)) this.#bytes.push((rest % 128) | 128);
    this.#bytes.push(rest);
  }

  #add(bytes: Uint8Array): void {
    this.#close();
    this.#parts.push(bytes);
  }

  #close(): void {
    if (this.#bytes.length === 0) return;
    this.#parts.push(Uint8Array.from(this.#bytes));
    this.#bytes = [];
  }
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}
