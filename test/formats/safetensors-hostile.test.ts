import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import type { ErrorCode } from '../../lib';
import { within } from '../../lib/errors';
import { serializeSafetensors } from '../../lib/formats/safetensors';
import { outcome, parseSafetensors, safetensorsFile } from '../support/formats';
import { expectRefusal } from '../support/refusal';

const reference = readFileSync(path.join(__dirname, '../fixtures/safetensors/reference.safetensors'));
const small = Buffer.from(
  serializeSafetensors(
    {
      weight: { data: Float32Array.of(1, 2), dims: [1, 2] },
      count: { dtype: 'I64', data: BigInt64Array.of(3n), dims: [1] },
    },
    { form: 'train' },
  ),
);

/** After a refusal, the next file is read as ever. */
function expectGoodToWork(): void {
  expect(parseSafetensors(small).tensors).toEqual({
    weight: { dtype: 'F32', data: Float32Array.of(1, 2), dims: [1, 2] },
    count: { dtype: 'I64', data: BigInt64Array.of(3n), dims: [1] },
  });
}

function prefixed(length: bigint, rest: Buffer): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length);
  return Buffer.concat([prefix, rest]);
}

const f32 = (shape: unknown, data_offsets: unknown) => ({ dtype: 'F32', shape, data_offsets });
const header = (value: unknown, dataBytes = 4) => safetensorsFile(value, dataBytes);
const member = (text: string) => header(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}${text}}`);
const entry = (text: string) => header(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]${text}}}`);
const shape = (text: string) => header(`{"a":{"dtype":"F32","shape":${text},"data_offsets":[0,4]}}`);

const hostile: readonly (readonly [title: string, message: string, file: Buffer, code?: ErrorCode])[] = [
  ['an empty file', '0 bytes', Buffer.alloc(0)],
  ['7 bytes', '7 bytes', Buffer.alloc(7)],
  ['a header of 0 bytes', '"{"', prefixed(0n, Buffer.alloc(0))],
  ['a header longer than the file', 'received 3', prefixed(3n, Buffer.from('{}'))],
  ['a header of 2^63 bytes', 'received 9223372036854775808', prefixed(2n ** 63n, Buffer.from('{}'))],
  ['a header of 2^64 - 8 bytes', 'received 18446744073709551608', prefixed(2n ** 64n - 8n, Buffer.from('{}'))],
  ['17 MB of spaces', 'at most 16777216', header(Buffer.alloc(17e6, ' '), 0), 'ERR_LIMIT'],
  ['16 MB of brackets', '"{"', header(Buffer.alloc(2 ** 24, '['), 0)],
  ['16 MB of braces', 'a string', header(Buffer.alloc(2 ** 24, '{'), 0)],
  ['a leading space', '"{"', header(` ${JSON.stringify({ a: f32([1], [0, 4]) })}`)],
  ['a byte order mark', '"{"', header(`\ufeff${JSON.stringify({ a: f32([1], [0, 4]) })}`)],
  ['invalid UTF-8', 'UTF-8', header(Buffer.from('{"\xff":1}', 'latin1'))],
  ['an encoded surrogate', 'UTF-8', header(Buffer.from('{"\xed\xa0\x80":1}', 'latin1'))],
  ['an escaped lone surrogate', 'a string of Unicode', header('{"\\ud800":1}')],
  ['a bare line break in a name', 'a string of Unicode', header('{"a\nb":1}')],
  ['an unknown escape', 'a string of Unicode', header('{"\\x41":1}')],
  ['a name that does not end', 'a string', header('{"a')],
  ['an escape at the end', 'a string', header('{"a\\')],
  ['a list', '"{"', header('[]')],
  ['a header cut off', 'received the end', header('{"a":')],
  ['text behind the header', 'the end', member('}')],
  ['a comma too many', 'a string', member(',')],
  ['no comma', '","', header('{"a":{"dtype":"F32" "shape":[1]}}')],
  ['a name twice', 'each name once', member(',"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}')],
  ['a name twice, once in disguise', 'each name once', member(',"\\u0061":{}')],
  ['metadata twice', 'each name once', header('{"__metadata__":{},"__metadata__":{}}', 0)],
  ['a key of the metadata twice', 'each name once', header('{"__metadata__":{"a":"1","a":"2"}}', 0)],
  ['a field twice', 'each name once', entry(',"shape":[1]')],
  ['an unknown field', 'received "extra"', entry(',"extra":1')],
  ['a field too few', 'less', header({ a: { dtype: 'F32', shape: [1] } })],
  ['one offset', 'less', header({ a: f32([1], [0]) })],
  ['three offsets', 'at most 2', header({ a: f32([1], [0, 4, 4]) })],
  ['metadata that are a number', 'a string', header({ __metadata__: { a: 1 } }, 0)],
  ['metadata that are a list', '"{"', header({ __metadata__: [] }, 0)],
  ['metadata in metadata', 'a string', header({ __metadata__: { a: {} } }, 0)],
  ['an unknown type', 'received "F128"', header({ a: { ...f32([1], [0, 4]), dtype: 'F128' } })],
  [
    'a type without numbers here, of a wrong size',
    '1 bytes for F8_E4M3',
    header({ a: { ...f32([1], [0, 4]), dtype: 'F8_E4M3' } }),
  ],
  ['a name of nature as the type', 'received "__proto__"', header({ a: { ...f32([1], [0, 4]), dtype: '__proto__' } })],
  ['a type that is a number', 'a string', header({ a: { ...f32([1], [0, 4]), dtype: 1 } })],
  ['a shape with a fraction', 'an integer', shape('[1.0]')],
  ['a shape with an exponent', 'an integer', shape('[1e0]')],
  ['a negative shape', 'an integer', shape('[-1]')],
  ['a shape with a leading zero', 'an integer', shape('[01]')],
  ['a shape that is a text', 'an integer', shape('["1"]')],
  ['a shape that is no list', '"["', shape('1')],
  ['a shape of 2^53 + 1, which doubles cannot hold', 'an integer', shape('[9007199254740993]')],
  ['a shape of 40 digits', 'an integer', shape(`[${'9'.repeat(40)}]`)],
  ['nine dims', 'at most 8', shape('[1,1,1,1,1,1,1,1,1]')],
  ['a shape whose product wraps to 1', 'of dims [4194305', shape('[4194305,4194305,211106198978564]')],
  ['a shape whose product wraps 64 bits', 'received 4', shape('[4503599627370496,4503599627370496]')],
  ['a shape too small', 'expected 0 bytes', shape('[0]')],
  ['a shape too large', 'expected 8 bytes', shape('[2]')],
  ['negative offsets', 'an integer', header({ a: f32([1], [-4, 0]) })],
  ['offsets in reverse', 'up to a byte', header({ a: f32([1], [0, 4]), b: f32([1], [4, 0]) })],
  ['offsets beyond the file', 'up to a byte from 0 to 4', header({ a: f32([2], [0, 8]) })],
  ['an overlap', 'from byte 4 on', header({ a: f32([1], [0, 4]), b: f32([1], [2, 6]) }, 6)],
  [
    'ten tensors in one place',
    'from byte 4 on',
    header(Object.fromEntries([...'abcdefghij'].map((name) => [name, f32([1], [0, 4])]))),
  ],
  ['a hole', 'from byte 4 on', header({ a: f32([1], [0, 4]), b: f32([1], [8, 12]) }, 12)],
  ['a hole in front', 'from byte 0 on', header({ a: f32([1], [4, 8]) }, 8)],
  ['bytes left over', '4 bytes of data, all of them used, received 5', header({ a: f32([1], [0, 4]) }, 5)],
  ['bytes missing', 'up to a byte from 0 to 3', header({ a: f32([1], [0, 4]) }, 3)],
];

describe('hostile files', () => {
  test.each(hostile.map((row) => [row[0], row] as const))('%s', (_, [, message, file, code = 'ERR_MODEL_FORMAT']) => {
    expectRefusal(() => within('reading', () => parseSafetensors(file)), code, message);
    expectGoodToWork();
  });

  test('say which tensor is meant, and where the file is broken', () => {
    const file = header({ 'stage.0': f32([2], [0, 4]) });
    expectRefusal(
      () => within('reading', () => parseSafetensors(file)),
      'ERR_MODEL_FORMAT',
      'reading, tensor "stage.0"',
    );
    expectRefusal(
      () => within('reading', () => parseSafetensors(member(','))),
      'ERR_MODEL_FORMAT',
      'reading, header, character 54',
    );
  });
});

describe('odd but legal files', () => {
  test.each([
    ['no tensors', '{}', 0, []],
    ['spaces all over', '{ "a" : { "dtype" : "U8" , "shape" : [ ] , "data_offsets" : [ 0 , 1 ] } }  ', 1, ['a']],
    [
      'tensors without elements, in one place',
      JSON.stringify({ b: f32([0], [0, 0]), c: f32([3, 0], [0, 0]) }),
      0,
      ['b', 'c'],
    ],
    [
      'an empty name and one with a zero',
      '{"":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"\\u0000":{"dtype":"U8","shape":[],"data_offsets":[1,2]}}',
      2,
      ['', '\0'],
    ],
  ])('%s', (_, text, dataBytes, names) => {
    expect(Object.keys(parseSafetensors(safetensorsFile(text, dataBytes)).tensors)).toEqual(names);
  });

  test('70,000 tensors, and a name of 1 MB', () => {
    const entries = Array.from({ length: 70_000 }, (_, i) => [
      `t${i}`,
      { dtype: 'U8', shape: [], data_offsets: [i, i + 1] },
    ]);
    expect(Object.keys(parseSafetensors(safetensorsFile(Object.fromEntries(entries), 70_000)).tensors)).toHaveLength(
      70_000,
    );
    const name = 'a"'.repeat(500_000);
    expect(Object.keys(parseSafetensors(safetensorsFile({ [name]: f32([1], [0, 4]) }, 4)).tensors)).toEqual([name]);
  });
});

describe('damage', () => {
  test('cut off anywhere', () => {
    for (let length = 0; length < reference.length; length++) {
      const result = outcome(() => parseSafetensors(reference.subarray(0, length)));
      expect([length, result]).toEqual([length, { code: 'ERR_MODEL_FORMAT' }]);
    }
    expectGoodToWork();
  });

  test('any byte changed: refused, or the same tensors by the same count of bytes', () => {
    const start = 8 + Number(small.readBigUInt64LE(0));
    const layout = (file: Buffer) =>
      Object.values(parseSafetensors(file).tensors)
        .map(({ data }) => data.byteLength)
        .sort();
    for (let at = 0; at < small.length; at++) {
      for (const flip of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
        const file = Buffer.from(small);
        file[at] = (file[at] as number) ^ flip;
        const result = outcome(() => layout(file));
        const allowed = Array.isArray(result)
          ? at >= 8 && `${result}` === `${layout(small)}`
          : at < start && result.code === 'ERR_MODEL_FORMAT';
        expect([at, flip, allowed]).toEqual([at, flip, true]);
      }
    }
    expectGoodToWork();
  });

  test('a random header, built of the right pieces: refused or read, never anything else', () => {
    const number = fc.oneof(fc.nat(16), fc.constantFrom('-1', '1.5', '1e3', '9007199254740992', '"4"'));
    const list = fc.array(number, { maxLength: 3 }).map((items) => `[${items}]`);
    const dtype = fc.constantFrom('"F32"', '"U8"', '"BOOL"', '"F64"', '"X"', '4');
    const field = fc.oneof(
      dtype.map((text) => `"dtype":${text}`),
      list.map((text) => `"shape":${text}`),
      list.map((text) => `"data_offsets":${text}`),
    );
    const legal = fc
      .tuple(dtype, list, fc.nat(8), fc.nat(8))
      .map(([type, dims, a, b]) => `"dtype":${type},"shape":${dims},"data_offsets":[${a},${a + b}]`);
    const tensor = fc
      .oneof({ arbitrary: legal, weight: 4 }, fc.array(field, { maxLength: 4 }).map(String))
      .map((text) => `{${text}}`);
    const text = fc
      .array(fc.tuple(fc.constantFrom('a', 'b', 'c', '__metadata__'), tensor), { maxLength: 3 })
      .map((members) => `{${members.map(([name, value]) => `"${name}":${value}`)}}`);
    fc.assert(
      fc.property(text, fc.nat(24), (json, dataBytes) => {
        const result = outcome(() => parseSafetensors(safetensorsFile(json, dataBytes)));
        if ('code' in result) expect(result.code).toBe('ERR_MODEL_FORMAT');
        else expect(Object.values(result.tensors).reduce((sum, { data }) => sum + data.byteLength, 0)).toBe(dataBytes);
      }),
      { numRuns: 5000 },
    );
    expectGoodToWork();
  });
});
