import type { GraphSpec } from '../../binding';
import { info, randn } from '../../lib';
import { addon } from '../../lib/binding';
import { chainSpec } from '../support/chain-spec';
import { runScript } from '../support/child';
import { quantizedNetwork, runQuantized } from '../support/quantized';
import type { QuantizedConvOp, QuantizedOp } from '../support/quantized-ops';
import { expectRejection } from '../support/refusal';

const layers = [{ out: 16, stride: 2 }, { out: 32, zeroPoint: 7, relu: false }, { out: 32, groups: 2 }, { out: 32 }];
const [height, width] = [14, 15];
const dims = [3, 3, height, width];
const networks = { integers: quantizedNetwork(3, layers, 'integers'), floats: quantizedNetwork(3, layers, 'floats') };

const specOf = (
  ops: readonly QuantizedOp[],
  algorithm: GraphSpec['algorithm'] = 'auto',
  image: readonly number[] = [3, height, width],
): GraphSpec => ({
  ...chainSpec(ops, image),
  independent: true,
  together: 4,
  algorithm,
  threads: 0,
});

const create = async (spec: GraphSpec) => addon.createSession(spec);

/** A JavaScript expression for a value with typed arrays. */
const source = (value: unknown): string => {
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}.from([${value}])`;
  if (Array.isArray(value)) return `[${value.map(source)}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, one]) => `${key}: ${source(one)}`)}}`;
};

describe.each(['integers', 'floats'] as const)('logits that are %s', (logits) => {
  const ops = networks[logits];
  const x = randn(dims, { seed: 5 });
  const expected = runQuantized(ops, x);

  test.each(['auto', 'gemm', 'winograd'] as const)('%s: the bits of the reference, of any batch', async (algorithm) => {
    expect(new Set(expected.data).size).toBeGreaterThan(15);
    const session = await create(specOf(ops, algorithm));
    const one = x.data.length / 3;
    for (const count of [1, 2, 3]) {
      const images = [x.data.slice(0, count * one)];
      const result = await session.run(images, count).promise;
      expect(result).toEqual([expected.data.slice(0, count * 10)]);
      expect(session.runSync(images, count)).toEqual(result);
    }
    expect(session.outputDims([[1, 3, 2 * height, width]])).toEqual([[1, 10, 1, 1]]);
    session.dispose();
  });

  test('images of bytes', async () => {
    const bytes = Uint8Array.from({ length: 3 * height * width }, (_, i) => (i * 7919) % 256);
    const byteScale = Float32Array.of(0.017, 0.018, 0.019);
    const byteShift = Float32Array.of(-2.1, -2, -1.8);
    const data = Float32Array.from({ length: bytes.length }, (_, i) => {
      const [channel, pixel] = [Math.floor(i / (height * width)), i % (height * width)];
      const value = Math.fround((bytes[pixel * 3 + channel] as number) * (byteScale[channel] as number));
      return value + (byteShift[channel] as number);
    });
    const session = await create({ ...specOf(ops), byteScale, byteShift });
    const result = session.runSync([bytes], 1)[0];
    expect(result).toEqual(runQuantized(ops, { data, dims: [1, 3, height, width] }).data);
  });

  test.each(info().isas)('on %s', (isa) => {
    const { stdout, stderr } = runScript(
      `const { addon } = require('./dist/binding.js');
       addon.createSession(${source(specOf(ops))}).then((session) => {
         const [logits] = session.runSync([${source(x.data.slice(0, x.data.length / 3))}], 1);
         console.log(JSON.stringify({ isa: addon.info().isa, logits: [...logits] }));
       });`,
      { QAREPVGG_ISA: isa },
    );
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({ isa, logits: [...expected.data.slice(0, 10)] });
  });
});

describe('pixels that are not finite', () => {
  const [height, width] = [7, 9];
  // Few channels and many are quantised by kernels of their own.
  const cases = [3, 20].map((channels) => {
    const ops = quantizedNetwork(channels, [{ out: 8, stride: 2 }], 'integers');
    const dims = [1, channels, height, width];
    const x = randn(dims, { seed: 7 });
    const places = [0, 1, 16, 62, 63, 90, 125, 188];
    const withValues = (...values: readonly number[]): Float32Array => {
      const data = x.data.slice();
      places.forEach((place, i) => {
        data[place] = values[i % values.length] as number;
      });
      return data;
    };
    const spec = specOf(ops, 'auto', dims.slice(1));
    const expected = [...runQuantized(ops, { data: withValues(-1e30, 1e30, -1e30), dims }).data];
    return { spec, data: withValues(Number.NaN, 1 / 0, -1 / 0), expected, finite: x.data };
  });

  test('NaN counts as the lowest number, infinities as the ends of the range', async () => {
    for (const { spec, data, expected, finite } of cases) {
      const session = await create(spec);
      expect([...(session.runSync([data], 1)[0] as Float32Array)]).toEqual(expected);
      expect([...(session.runSync([finite], 1)[0] as Float32Array)]).not.toEqual(expected);
      session.dispose();
    }
  });

  test.each(info().isas)('on %s', (isa) => {
    const { stdout, stderr } = runScript(
      `const { addon } = require('./dist/binding.js');
       const cases = ${source(cases.map(({ spec, data }) => ({ spec, data })))};
       Promise.all(cases.map(async ({ spec, data }) => {
         const session = await addon.createSession(spec);
         return [...session.runSync([data], 1)[0]];
       })).then((logits) => console.log(JSON.stringify({ isa: addon.info().isa, logits })));`,
      { QAREPVGG_ISA: isa },
    );
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({ isa, logits: cases.map(({ expected }) => expected) });
  });
});

test('arrays are copied when the session is asked for', async () => {
  const ops = quantizedNetwork(3, layers, 'floats');
  const x = randn([1, 3, height, width]);
  const expected = runQuantized(ops, x);
  const creation = create(specOf(ops));
  for (const op of ops) {
    if (op.op === 'quantizedConv') for (const array of [op.weight, op.bias, op.weightScale]) array.fill(0);
  }
  expect((await creation).runSync([x.data], 1)).toEqual([expected.data]);
});

describe('what is refused', () => {
  /** The network with another op number `index`. */
  const changed = (index: number, change: Partial<Record<keyof QuantizedConvOp | 'scale' | 'zeroPoint', unknown>>) =>
    specOf(networks.integers.map((op, i) => (i === index ? ({ ...op, ...change } as QuantizedOp) : op)));
  const conv = networks.integers[2] as QuantizedConvOp;

  test.each([
    ['a scale of zero', 1, { inputScale: 0 }, 'op 1 (quantizedConv)'],
    ['a scale that is not a number', 1, { inputScale: Number.NaN }, 'op 1 (quantizedConv)'],
    ['a denormal scale', 2, { outputScale: 1e-40 }, 'op 2 (quantizedConv)'],
    ['an infinite scale', 2, { inputScale: 1e39 }, 'op 2 (quantizedConv)'],
    ['a zero point of 256', 5, { inputZeroPoint: 256 }, 'op 5 (quantizedGlobalAverage)'],
    ['a zero point between two integers', 7, { zeroPoint: 0.5 }, 'op 7 (dequantize)'],
    ['a weight scale of zero', 2, { weightScale: conv.weightScale.map((s, i) => (i === 3 ? 0 : s)) }, 'op 2 (qu'],
    ['sums that could leave 32 bits', 2, { bias: conv.bias.map((b, i) => (i === 5 ? 2 ** 31 - 1 : b)) }, 'channel 5'],
    ['another scale than was written', 2, { inputScale: 1 }, 'op 2 (quantizedConv)'],
  ])('%s', async (_, index, change, where) => {
    await expectRejection(create(changed(index, change)), 'ERR_QUANT_PARAM', where);
  });

  test.each([
    ['weights of another type', { weight: new Float32Array(conv.weight.length) }, 'ERR_DTYPE'],
    ['biases of another type', { bias: new Uint8Array(conv.bias.length) }, 'ERR_DTYPE'],
    ['a weight scale less', { weightScale: conv.weightScale.slice(1) }, 'ERR_BUFFER_SIZE'],
    ['a weight less', { weight: conv.weight.slice(1) }, 'ERR_BUFFER_SIZE'],
    ['a scale that is no number', { inputScale: '1' }, 'ERR_INVALID_ARG'],
    ['an output zero point that is missing', { outputZeroPoint: undefined }, 'ERR_INVALID_ARG'],
  ] as const)('%s', async (_, change, code) => {
    await expectRejection(create(changed(2, change)), code, '');
  });
});
