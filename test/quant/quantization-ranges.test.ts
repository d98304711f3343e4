import fc from 'fast-check';
import { within } from '../../lib/errors';
import type { QuantizationParameters } from '../../lib/model/quantized-layers';
import { coarse, Histogram } from '../../lib/quant/histogram';
import {
  chooseRange,
  parametersOf,
  type RangeOptions,
  rangeOf,
  roundHalfEven,
  saturationOf,
} from '../../lib/quant/ranges';
import { Random } from '../../lib/random';
import { halfEven } from '../support/quantized';
import { expectRefusal } from '../support/refusal';

const options: RangeOptions = { method: 'mse', scheme: 'affine', percentile: 99.99, bits: 8 };

function histogramOf(...chunks: readonly (readonly number[] | Float32Array)[]): Histogram {
  const histogram = new Histogram();
  for (const chunk of chunks) within('test', () => histogram.add(Float32Array.from(chunk)));
  return histogram;
}

/** What integers of these parameters make of a number. */
function rounded(value: number, { scale, zeroPoint }: QuantizationParameters): number {
  return (Math.min(255, Math.max(0, roundHalfEven(value / scale) + zeroPoint)) - zeroPoint) * scale;
}

function squaredError(values: Float32Array, parameters: QuantizationParameters): number {
  return values.reduce((sum, value) => sum + (value - rounded(value, parameters)) ** 2, 0);
}

function normal(count: number, seed = 1): Float32Array {
  const values = new Float32Array(count);
  new Random(seed).fillNormal(values, 0, 1);
  return values;
}

describe('a histogram', () => {
  const floats = fc.float({ noNaN: true, noDefaultInfinity: true });

  test('counts what came by, in whatever order and chunks', () => {
    fc.assert(
      fc.property(fc.array(fc.array(floats, { minLength: 1 }), { minLength: 1 }), (chunks) => {
        const histogram = histogramOf(...chunks);
        const all = Float32Array.from(chunks.flat());
        expect(histogram.count).toBe(all.length);
        expect([histogram.min, histogram.max]).toEqual([Math.min(...all), Math.max(...all)]);
        const { positive, negative, width } = histogram;
        const total = [...positive, ...negative].reduce((sum, count) => sum + count, 0);
        expect(total).toBe(all.length);
        const largest = Math.max(...all.map(Math.abs));
        expect(width * positive.length).toBeGreaterThanOrEqual(largest);
        // No coarser than it must be.
        expect(width * positive.length).toBeLessThan(largest === 0 ? 1 : largest * 2.0001);
        const beyond = all.filter((value) => value > largest / 2 || value < -largest / 2).length;
        const near = all.filter((value) => Math.abs(Math.abs(value) - largest / 2) <= 2 * width).length;
        const share = histogram.shareBeyond(-largest / 2, largest / 2) * all.length;
        expect(Math.abs(share - beyond)).toBeLessThanOrEqual(near + 1e-6);
      }),
    );
  });

  test('refuses what is not finite, and then is as before', () => {
    const histogram = histogramOf([1, 2]);
    for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const values = Float32Array.of(0, odd, 3);
      expectRefusal(() => within('here', () => histogram.add(values)), 'ERR_NON_FINITE', `${odd}`);
    }
    expect([histogram.count, histogram.max]).toEqual([2, 2]);
  });

  test('for people has few bins, from the smallest number to the largest', () => {
    const bins = coarse(histogramOf([-1, -1, 0, 3]), 4);
    expect(bins).toEqual({ low: -1, high: 3, counts: [2, 1, 0, 1] });
    expect(coarse(histogramOf([5, 5]), 4)).toEqual({ low: 5, high: 5, counts: [2] });
  });
});

describe('ranges', () => {
  test('minmax: all that was seen, and zero', () => {
    const minmax = { ...options, method: 'minmax' } as const;
    expect(chooseRange(histogramOf([1, 2.5]), minmax)).toEqual({ low: 0, high: 2.5 });
    expect(chooseRange(histogramOf([-3, -2]), minmax)).toEqual({ low: -3, high: 0 });
    expect(chooseRange(histogramOf([0, 0]), minmax)).toEqual({ low: 0, high: 0 });
  });

  test.each([99, 99.9, 99.99])('percentile %d: leaves out the largest, to the width of a bin', (percentile) => {
    const values = normal(100_000).map(Math.abs).sort();
    const place = Math.round((values.length * percentile) / 100);
    const histogram = histogramOf(values);
    const { high } = chooseRange(histogram, { ...options, method: 'percentile', percentile });
    expect(high).toBeGreaterThan(values[place - 2] as number);
    expect(high).toBeLessThan((values[place + 1] as number) + histogram.width);
  });

  test('percentile of numbers on both sides: half of the rest on each side, or by size', () => {
    const values = Float32Array.from({ length: 1000 }, (_, i) => (i < 500 ? -1 - i : i - 499));
    const percentile = { ...options, method: 'percentile', percentile: 90 } as const;
    const both = chooseRange(histogramOf(values), percentile);
    expect(both.low / -450).toBeCloseTo(1, 2);
    expect(both.high / 450).toBeCloseTo(1, 2);
    const bySize = chooseRange(histogramOf(values.map(Math.abs)), { ...percentile, scheme: 'symmetric' });
    expect(bySize.high / 450).toBeCloseTo(1, 2);
  });

  test.each(['affine', 'symmetric'] as const)('mse, %s: no worse than any other limit', (scheme) => {
    // Heavy tails, where clamping pays.
    const values = normal(20_000).map((value) => value ** 3);
    for (const sample of [values, values.map(Math.abs)]) {
      const histogram = histogramOf(sample);
      for (const bits of [4, 6, 8]) {
        const chosen = { ...options, scheme, bits };
        const least = squaredError(sample, parametersOf(chooseRange(histogram, chosen), chosen));
        for (const share of [1, 0.9, 0.5, 0.2, 0.1, 0.05]) {
          const range = { low: Math.min(0, histogram.min) * share, high: histogram.max * share };
          expect(least).toBeLessThan(squaredError(sample, parametersOf(range, chosen)) * 1.01);
        }
      }
    }
  });

  test('entropy: clamps an outlier, and keeps a distribution without tails whole', () => {
    const entropy = { ...options, method: 'entropy' } as const;
    const uniform = Float32Array.from({ length: 50_000 }, (_, i) => i / 50_000);
    expect(chooseRange(histogramOf(uniform), entropy).high).toBeGreaterThan(0.95);
    const outlier = Float32Array.from([...normal(50_000).map(Math.abs), 40]);
    const { high } = chooseRange(histogramOf(outlier), entropy);
    expect(high).toBeLessThan(20);
    expect(high).toBeGreaterThan(2.5);
  });
});

describe('parameters', () => {
  test.each([
    ['affine, after a ReLU', { low: 0, high: 2.55 }, 'affine', 8, Math.fround(0.01), 0],
    ['affine, both signs', { low: -1, high: 3 }, 'affine', 8, Math.fround(4 / 255), 64],
    ['affine, fewer bits', { low: 0, high: 1.5 }, 'affine', 4, Math.fround(0.1), 240],
    ['affine, both signs: always 8 bits', { low: -1, high: 3 }, 'affine', 4, Math.fround(4 / 255), 64],
    ["symmetric, as NVIDIA's toolkit", { low: 0, high: 12.7 }, 'symmetric', 8, Math.fround(0.1), 128],
    ['symmetric, both signs', { low: -12.7, high: 1 }, 'symmetric', 8, Math.fround(0.1), 128],
    ['symmetric, fewer bits', { low: 0, high: 0.7 }, 'symmetric', 4, Math.fround(0.1), 248],
    ['nothing but zeros', { low: 0, high: 0 }, 'affine', 8, 1, 0],
    ['numbers too small to matter', { low: 0, high: 1e-40 }, 'affine', 8, 2 ** -60, 0],
  ] as const)('%s', (_, range, scheme, bits, scale, zeroPoint) => {
    expect(parametersOf(range, { ...options, scheme, bits })).toEqual({ scale, zeroPoint });
  });

  test('any range: a float32 scale, zero is exact, and its ends are half a step off at most', () => {
    const ends = fc.tuple(
      fc.double({ min: -1e6, max: 0, noNaN: true }),
      fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
    );
    fc.assert(
      fc.property(ends, fc.constantFrom('affine', 'symmetric'), ([low, high], scheme) => {
        const parameters = parametersOf({ low, high }, { ...options, scheme });
        const { scale, zeroPoint } = parameters;
        expect(Math.fround(scale)).toBe(scale);
        expect(Number.isInteger(zeroPoint) && zeroPoint >= 0 && zeroPoint <= 255).toBe(true);
        for (const end of [low, high]) {
          expect(Math.abs(rounded(end, parameters) - end)).toBeLessThanOrEqual(scale * 0.5001);
        }
        const inside = rangeOf(parameters, { low, high });
        expect(inside.high).toBeGreaterThanOrEqual(0);
        expect(inside.low).toBeLessThanOrEqual(0);
      }),
    );
  });

  test('what is clamped', () => {
    const values = Float32Array.from({ length: 1000 }, (_, i) => (i + 0.5) / 1000);
    const histogram = histogramOf(values);
    const range = { low: 0, high: 0.75 };
    expect(saturationOf(histogram, parametersOf(range, options), range)).toBeCloseTo(0.25, 2);
    const whole = { low: 0, high: histogram.max };
    expect(saturationOf(histogram, parametersOf(whole, options), whole)).toBe(0);
  });

  test('halves go to the even integer', () => {
    expect([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4999].map(roundHalfEven)).toEqual([-2, -2, 0, 0, 2, 2, 2]);
    fc.assert(
      fc.property(fc.double({ min: -1e6, max: 1e6, noNaN: true }), (x) => roundHalfEven(x) - halfEven(x) === 0),
    );
  });
});
