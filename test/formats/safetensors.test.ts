import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import type { Tensor } from '../../lib';
import { type Dtype, dtypes, type RawTensor } from '../../lib/formats/dtypes';
import {
  readRawSafetensors,
  readSafetensors,
  serializeSafetensors,
  writeSafetensors,
} from '../../lib/formats/safetensors';
import { parseSafetensors, safetensorsFile, temporaryFolder } from '../support/formats';
import { hostileData, hostileDims } from '../support/hostile';
import { expectRefusal } from '../support/refusal';

const folder = temporaryFolder();
const reference = path.join(__dirname, '../fixtures/safetensors/reference.safetensors');
const referenceDtypes = dtypes.filter((dtype) => dtype !== 'BF16');

describe("the reference implementation's file", () => {
  test('each element type', async () => {
    const { tensors, metadata } = await readRawSafetensors(reference);
    expect(metadata).toEqual({ 'kéy\t': 'val"ue\u2028' });
    for (const dtype of referenceDtypes) {
      expect(tensors[`dtype ${dtype}`]).toMatchObject({ dtype, dims: [2, 3] });
    }
    expect(tensors['dtype I64']?.data).toEqual(BigInt64Array.of(0n, 1n, 2n, 3n, 4n, 5n));
    expect(tensors['odd bytes']).toEqual({ dtype: 'U8', data: Uint8Array.of(1, 2, 3), dims: [3] });
  });

  test('in float32', async () => {
    const { tensors } = await readSafetensors(reference);
    for (const dtype of referenceDtypes) {
      const expected = dtype === 'BOOL' ? [0, 1, 1, 1, 1, 1] : [0, 1, 2, 3, 4, 5];
      expect(tensors[`dtype ${dtype}`]).toEqual({ data: Float32Array.from(expected), dims: [2, 3] });
    }
    expect(tensors.scalar).toEqual({ data: Float32Array.of(7), dims: [] });
    expect(tensors['\u{1f600}']).toEqual({ data: Float32Array.of(6), dims: [1] });
  });

  test('the same tensors give the same bytes', () => {
    const bytes = readFileSync(reference);
    const { tensors, metadata } = parseSafetensors(bytes);
    expect(Buffer.compare(serializeSafetensors(tensors, metadata), bytes)).toBe(0);
  });
});

describe('round trips', () => {
  const arrays: { [D in Dtype]?: new (values: readonly number[]) => NodeJS.TypedArray } = {
    U8: Uint8Array,
    I8: Int8Array,
    I32: Int32Array,
    F16: Uint16Array,
    BF16: Uint16Array,
    F32: Float32Array,
    F64: Float64Array,
  };
  const rawTensor = fc
    .tuple(fc.constantFrom(...(Object.keys(arrays) as Dtype[])), fc.array(fc.nat(3), { maxLength: 4 }), fc.nat(127))
    .map(([dtype, dims, first]) => {
      const positive = dims.map((dim) => dim + 1);
      const count = positive.reduce((product, dim) => product * dim, 1);
      const values = Array.from({ length: count }, (_, i) => (first + i) % 128);
      const Class = arrays[dtype] as new (values: readonly number[]) => NodeJS.TypedArray;
      return { dtype, data: new Class(values), dims: positive } as RawTensor;
    });
  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary' }),
    fc.constantFrom('__proto__', '0', 'constructor', '\0'),
  );
  const named = fc.dictionary(
    text.filter((name) => name !== '__metadata__'),
    rawTensor,
    { noNullPrototype: false },
  );

  test('what is written is read, from any order of keys the same bytes', () => {
    fc.assert(
      fc.property(named, fc.dictionary(text, text), (tensors, metadata) => {
        const bytes = serializeSafetensors(tensors, metadata);
        const file = parseSafetensors(bytes);
        expect(Object.entries(file.tensors).sort(byName)).toEqual(Object.entries(tensors).sort(byName));
        expect(Object.entries(file.metadata).sort(byName)).toEqual(Object.entries(metadata).sort(byName));
        const reversed = [tensors, metadata].map((record) => Object.fromEntries(Object.entries(record).reverse()));
        const again = serializeSafetensors(reversed[0] as typeof tensors, reversed[1] as typeof metadata);
        expect(Buffer.compare(again, bytes)).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });

  const byName = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1);

  test('bits of NaN, infinity, -0 and subnormal numbers stay', async () => {
    const bits = Uint32Array.of(0x7fc00001, 0xff800000, 0x80000000, 1);
    const file = path.join(folder, 'bits.safetensors');
    await writeSafetensors(file, { a: { data: new Float32Array(bits.buffer), dims: [4] } });
    const { tensors } = await readSafetensors(file);
    expect(new Uint32Array((tensors.a as Tensor).data.buffer)).toEqual(bits);
  });

  test('half and bfloat16, widened exactly', async () => {
    const file = path.join(folder, 'half.safetensors');
    const half = { dtype: 'F16', data: Uint16Array.of(0x3c00, 0x8000, 1, 0x0400, 0x7bff, 0xfc00, 0x7e00), dims: [7] };
    const brain = { dtype: 'BF16', data: Uint16Array.of(0x3f80, 0xc020, 0x7f80, 0x7fc0), dims: [4] };
    await writeSafetensors(file, { half, brain } as Record<string, RawTensor>);
    const { tensors } = await readSafetensors(file);
    const { NEGATIVE_INFINITY, POSITIVE_INFINITY, NaN: nan } = Number;
    expect([...(tensors.half?.data ?? [])]).toEqual([1, -0, 2 ** -24, 2 ** -14, 65504, NEGATIVE_INFINITY, nan]);
    expect([...(tensors.brain?.data ?? [])]).toEqual([1, -2.5, POSITIVE_INFINITY, nan]);
  });

  test('changes after the call do not reach the file', async () => {
    const file = path.join(folder, 'snapshot.safetensors');
    const data = Float32Array.of(1, 2);
    const written = writeSafetensors(file, { a: { data, dims: [2] } });
    data.fill(9);
    await written;
    expect((await readSafetensors(file)).tensors.a?.data).toEqual(Float32Array.of(1, 2));
  });
});

describe('memory', () => {
  test('tensors are views of one buffer, whatever the length of the header', async () => {
    for (const padding of ['', ' ', '   ']) {
      const header = {
        a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
        b: { dtype: 'F32', shape: [1], data_offsets: [8, 12] },
      };
      const file = path.join(folder, 'views.safetensors');
      writeFileSync(file, safetensorsFile(JSON.stringify(header) + padding, 12));
      const { a, b } = (await readSafetensors(file)).tensors;
      expect(a?.data.buffer).toBe(b?.data.buffer);
    }
  });

  test('a tensor that lies askew is copied', () => {
    const header = {
      a: { dtype: 'U8', shape: [1], data_offsets: [0, 1] },
      b: { dtype: 'F32', shape: [1], data_offsets: [1, 5] },
    };
    const { b } = parseSafetensors(safetensorsFile(header, 5)).tensors;
    expect(new Uint8Array(b?.data.buffer as ArrayBuffer)).toEqual(Uint8Array.of(1, 1, 1, 1));
  });

  test('names that objects have by nature', () => {
    const { tensors } = parseSafetensors(
      safetensorsFile(
        '{"__proto__":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"__metadata__":{"__proto__":"x"}}',
        1,
      ),
    );
    expect(Object.keys(tensors)).toEqual(['__proto__']);
    expect(tensors.toString).toBeUndefined();
    expect(({} as Record<string, unknown>).dtype).toBeUndefined();
  });
});

describe('what is not written', () => {
  const good = { data: new Float32Array(24), dims: [1, 3, 2, 4] };
  const expectGoodToWork = () => {
    expect(parseSafetensors(serializeSafetensors({ good })).tensors.good).toEqual({ dtype: 'F32', ...good });
  };

  // Here, a tensor may be empty.
  const wrongDims = hostileDims.filter(([name]) => name !== 'a zero' && name !== 'all zeros');
  test.each(wrongDims)('dims: %s', (_, code, message, make) => {
    const dims = make() as number[];
    expectRefusal(() => serializeSafetensors({ good, 'a.b': { ...good, dims } }), code, message);
    expectGoodToWork();
  });

  test.each(hostileData)('data: %s', (_, code, message, make) => {
    const data = make() as Float32Array;
    expectRefusal(() => serializeSafetensors({ good, 'a.b': { ...good, data } }), code, message);
    expectGoodToWork();
  });

  const bytes = { dtype: 'I8', data: new Int8Array(4), dims: [4] };
  test.each([
    ['no tensors', 'ERR_INVALID_ARG', 'an object', null],
    ['a list of tensors', 'ERR_INVALID_ARG', 'an object', [good]],
    ['the name of the metadata', 'ERR_INVALID_ARG', '__metadata__', { __metadata__: good }],
    ['a name that is no text', 'ERR_INVALID_ARG', 'Unicode', { '\ud800': good }],
    ['no tensor', 'ERR_INVALID_ARG', '"x"', { x: 5 }],
    ['an unknown type', 'ERR_DTYPE', 'received "F8"', { x: { ...bytes, dtype: 'F8' } }],
    ['a name of nature as its type', 'ERR_DTYPE', 'received "toString"', { x: { ...bytes, dtype: 'toString' } }],
    ['data of another type', 'ERR_DTYPE', 'an Int8Array', { x: { ...bytes, dtype: 'I32' } }],
    ['too few data', 'ERR_BUFFER_SIZE', 'received 4', { x: { ...bytes, dims: [5] } }],
    ['a dim below 0', 'ERR_SHAPE', 'an integer from 0, received -1', { x: { ...bytes, dims: [-1] } }],
    [
      'shared memory',
      'ERR_BUFFER_SHARED',
      'no other thread',
      { x: { ...bytes, data: new Int8Array(new SharedArrayBuffer(4)) } },
    ],
    ['dims that are none', 'ERR_SHAPE', 'received "4"', { x: { ...bytes, dims: '4' } }],
    [
      'a getter that throws',
      'ERR_INVALID_ARG',
      'throws',
      {
        get x(): never {
          throw new Error('no');
        },
      },
    ],
  ] as const)('%s', (_, code, message, tensors) => {
    expectRefusal(() => serializeSafetensors(tensors as never), code, message);
    expectGoodToWork();
  });

  test('tensors without elements come back', () => {
    const tensors = {
      floats: { data: new Float32Array(0), dims: [0] },
      bytes: { dtype: 'I8' as const, data: new Int8Array(0), dims: [3, 0] },
      good,
    };
    const read = parseSafetensors(serializeSafetensors(tensors)).tensors;
    expect(read.floats).toEqual({ dtype: 'F32', ...tensors.floats });
    expect(read.bytes).toEqual(tensors.bytes);
    expect(read.good?.data).toEqual(good.data);
  });

  test('properties that lie about the memory change nothing', () => {
    const data = Float32Array.from({ length: 24 }, (_, i) => i);
    const lies = { length: 1, byteLength: 1e9, byteOffset: 4, buffer: new ArrayBuffer(0) };
    const liar = Object.defineProperties(
      data.slice(),
      Object.fromEntries(Object.entries(lies).map(([name, value]) => [name, { value }])),
    );
    const tensors = { good: { ...good, data: liar as Float32Array } };
    expect(parseSafetensors(serializeSafetensors(tensors)).tensors.good?.data).toEqual(data);
  });

  test('metadata that are no texts, names beyond the limit', () => {
    expectRefusal(() => serializeSafetensors({ good }, { a: 1 } as never), 'ERR_INVALID_ARG', 'metadata "a"');
    expectRefusal(() => serializeSafetensors({ good }, { a: '\udc00' }), 'ERR_INVALID_ARG', 'Unicode');
    expectRefusal(() => serializeSafetensors({ ['a'.repeat(2 ** 24)]: good }), 'ERR_LIMIT', '16777216');
    expectGoodToWork();
  });
});
