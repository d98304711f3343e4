import { type RandnOptions, randn } from '../../lib';
import { Random } from '../../lib/random';
import { bits } from '../support/compare';
import { expectRefusal } from '../support/refusal';

// From the authors' C code of SplitMix64 and xoshiro128** (https://prng.di.unimi.it).
test.each([
  [0, [3737715805, 2584255861, 2876756834, 3286328325, 1553311962]],
  [1234567, [1967786208, 270031234, 1115494691, 824886977, 1639868524]],
  [2 ** 53 - 1, [1233166643, 1287031142, 661813442, 2960669951, 2601079046]],
])('bits of seed %d are those of the published algorithm', (seed, expected) => {
  const random = new Random(seed);
  expect(expected.map(() => random.bits())).toEqual(expected);
});

describe('randn', () => {
  test('gives the same numbers for the same seed, other ones for another', () => {
    const dims = [1, 3, 5, 7];
    expect(bits(randn(dims, { seed: 1 }))).toBe(bits(randn(dims, { seed: 1 })));
    expect(bits(randn(dims, { seed: 1 }))).not.toBe(bits(randn(dims, { seed: 2 })));
    expect(bits(randn(dims))).toBe(bits(randn(dims, { seed: 0, mean: 0, std: 1 })));
  });

  test('has the moments of a normal distribution', () => {
    const { data, dims } = randn([100_000], { seed: 3, mean: 2, std: 0.5 });
    const moment = (power: number): number => data.reduce((sum, x) => sum + ((x - 2) / 0.5) ** power, 0) / data.length;
    expect(dims).toEqual([100_000]);
    // Five standard errors of each moment for 100,000 deviates: sqrt(var(x^k) / n) with var 1, 2, 15, 96.
    expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(1 / 1e5));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / 1e5));
    expect(Math.abs(moment(3))).toBeLessThan(5 * Math.sqrt(15 / 1e5));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / 1e5));
  });

  test('fills an odd count', () => {
    expect(randn([3]).data.every((value) => value !== 0)).toBe(true);
  });

  test.each([
    ['seed', { seed: -1 }],
    ['seed', { seed: 0.5 }],
    ['seed', { seed: 2 ** 53 }],
    ['mean', { mean: Number.NaN }],
    ['std', { std: -1 }],
    ['std', { std: Number.POSITIVE_INFINITY }],
    ['"stdev"', { stdev: 1 }],
  ])('refuses option %s: %p', (name, options) => {
    expectRefusal(() => randn([1], options as RandnOptions), 'ERR_INVALID_ARG', name);
  });

  test('refuses more numbers than there can be, before it allocates', () => {
    expectRefusal(() => randn([2 ** 20, 2 ** 20]), 'ERR_LIMIT', 'randn');
  });
});
