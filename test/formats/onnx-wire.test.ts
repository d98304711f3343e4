import fc from 'fast-check';
import { WireReader, WireWriter, wireTypes } from '../../lib/formats/onnx/wire-format';

/** A varint of any number of bits, by arithmetic with big integers. */
function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 128n) return [...bytes, Number(rest)];
    bytes.push(Number(rest & 127n) | 128);
  }
}

const reader = (...bytes: number[]): WireReader => new WireReader(Uint8Array.from(bytes));

function written(write: (writer: WireWriter) => void): WireReader {
  const writer = new WireWriter();
  write(writer);
  return new WireReader(writer.finish());
}

const edges = [0n, 1n, 127n, 128n, 2n ** 28n, 2n ** 31n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 56n, 2n ** 63n - 1n];

test('integers of 64 bits are those of two’s complement', () => {
  const check = (value: bigint): void => {
    const bytes = varint(BigInt.asUintN(64, value));
    expect(reader(...bytes).bigInteger()).toBe(value);
    expect(reader(...bytes).integer()).toBe(Number(value));
    const skipped = reader(...bytes, 5);
    skipped.skip(wireTypes.varint);
    expect(skipped.integer()).toBe(5);
  };
  for (const value of edges) for (const one of [value, -value]) check(one);
  check(-(2n ** 63n));
  fc.assert(fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), check));
});

test('what is written is read', () => {
  const numbers = [0, 1, -1, 300, 2 ** 35, -(2 ** 40), Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
  for (const value of numbers) expect(written((writer) => writer.integer(value)).integer()).toBe(value);
  // The largest number of 64 bits means "to the end".
  expect(written((writer) => writer.integer(2 ** 63)).bigInteger()).toBe(2n ** 63n - 1024n);
  expect(written((writer) => writer.float(-1.5)).float()).toBe(-1.5);
  expect(written((writer) => writer.double(Math.PI)).double()).toBe(Math.PI);
  const text = 'ReLU — 激活 🙂';
  const bytes = Buffer.from(text.repeat(20));
  expect(written((writer) => writer.bytes(bytes)).text()).toBe(text.repeat(20));
  expect(Buffer.from(written((writer) => writer.bytes(bytes)).bytes())).toEqual(bytes);
  const nested = written((writer) => {
    writer.tag(7, wireTypes.bytes);
    writer.nested(() => writer.nested(() => writer.bytes(bytes)));
    writer.tag(1, wireTypes.varint);
  });
  expect(nested.tag()).toBe(7 * 8 + wireTypes.bytes);
  const end = nested.end();
  expect(nested.end()).toBe(end);
  expect(nested.text()).toBe(text.repeat(20));
  expect(nested.position).toBe(end);
  expect(nested.tag()).toBe(8);
  expect(nested.isAtEnd).toBe(true);
});

test('a view begins where its bytes do', () => {
  const memory = Uint8Array.from([9, 9, 3, 65, 66, 67, 9]);
  const inner = new WireReader(memory.subarray(2, 6));
  const bytes = inner.bytes();
  expect([bytes.buffer, bytes.byteOffset, bytes.length]).toEqual([memory.buffer, 3, 3]);
  expect(inner.isAtEnd).toBe(true);
});

test.each<[string, WireReader, (reader: WireReader) => unknown]>([
  ['a number without its end', reader(128, 128), (one) => one.integer()],
  ['a number at the end', reader(), (one) => one.integer()],
  ['a number of more than 64 bits', reader(...Array<number>(10).fill(255), 1), (one) => one.integer()],
  ['a float without its end', reader(0, 0, 0), (one) => one.float()],
  ['a double without its end', reader(0, 0, 0, 0), (one) => one.double()],
  ['bytes without their end', reader(4, 1, 2, 3), (one) => one.bytes()],
  ['a length of 32 bits', reader(255, 255, 255, 255, 15), (one) => one.bytes()],
  ['text that is no UTF-8', reader(2, 0xc3, 0x28), (one) => one.text()],
  ['field 0', reader(2), (one) => one.tag()],
  ['a group', reader(8), (one) => one.skip(3)],
  ['skipped bytes without their end', reader(4, 1, 2, 3), (one) => one.skip(wireTypes.bytes)],
  ['a skipped double without its end', reader(4, 1, 2, 3), (one) => one.skip(wireTypes.bits64)],
])('%s is refused', (_, one, read) => {
  expect(() => read(one)).toThrow();
});
