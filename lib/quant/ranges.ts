import type { QuantizationParameters } from '../model/quantized-layers';
import type { QuantizationRecipe } from '../model/quantized-model';
import type { Histogram } from './histogram';

// Looked up once: in realms other than the main one, globals are slow to reach.
const { ceil, floor, fround, log, max, min, round } = Math;

/** The range of numbers that the integers cover; numbers beyond it are clamped. Contains 0. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

/** Options for ranges and their parameters. */
export interface RangeOptions extends Pick<QuantizationRecipe, 'method' | 'scheme'> {
  /** For the method 'percentile'. */
  readonly percentile: number;
  readonly bits: number;
}

/** Products of smaller scales would be denormal, so tensors with such scales become zeros. */
const minScale = 2 ** -60;

/** The scale for `size` in `levels` steps; 1 for a tensor of zeros, as in NVIDIA's toolkit. */
export function scaleOf(size: number, levels: number): number {
  return size === 0 ? 1 : fround(max(size / levels, minScale));
}

/**
 * Scale and zero point of a range.
 *
 * Affine: 2^bits steps from low to high. Symmetric: 2^(bits - 1) - 1 steps on each side of zero.
 *
 * The integers are the largest ones of a byte, up to 255, so fewer bits need no special kernels: the byte clamps numbers above the
 * range, and the ReLU clamps numbers below zero at the zero point. Without a ReLU numbers below zero are kept, and a range always has
 * all 8 bits.
 */
export function parametersOf({ low, high }: Range, { scheme, bits }: RangeOptions): QuantizationParameters {
  if (scheme === 'symmetric') {
    const levels = 2 ** ((low < 0 ? 8 : bits) - 1) - 1;
    return { scale: scaleOf(max(-low, high), levels), zeroPoint: 255 - levels };
  }
  if (low < 0) {
    const scale = scaleOf(high - low, 255);
    return { scale, zeroPoint: min(255, roundHalfEven(-low / scale)) };
  }
  const levels = 2 ** bits - 1;
  return { scale: scaleOf(high, levels), zeroPoint: 255 - levels };
}

/** The range of numbers that these parameters can represent. */
export function rangeOf({ scale, zeroPoint }: QuantizationParameters, { low }: Range): Range {
  return { low: low < 0 ? -zeroPoint * scale : 0, high: (255 - zeroPoint) * scale };
}

/** Adding and subtracting this rounds a number of up to 2^51 to an integer. */
const magic = 1.5 * 2 ** 52;

/** Rounds to the nearest integer, and halves to the even one, as processors do. */
export function roundHalfEven(value: number): number {
  return value + magic - magic;
}

/** Chooses the range of a tensor from its histogram. */
export function chooseRange(histogram: Histogram, options: RangeOptions): Range {
  const whole = { low: min(0, histogram.min), high: max(0, histogram.max) };
  if (histogram.width === 0) return whole;
  switch (options.method) {
    case 'minmax':
      return whole;
    case 'percentile':
      return percentileRange(histogram, whole, options);
    case 'entropy':
      return within(whole, entropyLimit(histogram, options));
    case 'mse':
      return mseRange(histogram, whole, options);
  }
}

/** Clamps both ends to `limit`. */
function within({ low, high }: Range, limit: number): Range {
  return { low: max(low, -limit), high: min(high, limit) };
}

/** A histogram of absolute values. */
function sizes({ positive, negative }: Histogram): Float64Array {
  return positive.map((count, i) => count + (negative[i] as number));
}

/**
 * Leaves out the largest (100 - percentile) % of numbers: by absolute value in the symmetric scheme, half of them at each end in the
 * affine scheme if the range has two ends.
 */
function percentileRange(histogram: Histogram, whole: Range, { percentile, scheme }: RangeOptions): Range {
  const { positive, negative, count, width } = histogram;
  const share = 1 - percentile / 100;
  if (scheme === 'symmetric') return within(whole, tailLimit(sizes(histogram), share * count) * width);
  const each = whole.low < 0 ? share / 2 : share;
  return {
    low: max(whole.low, -tailLimit(negative, each * count) * width),
    high: min(whole.high, tailLimit(positive, each * count) * width),
  };
}

/** The lowest bin with at most `allowed` numbers in it and above. */
function tailLimit(counts: Float64Array, allowed: number): number {
  let tail = 0;
  for (let i = counts.length - 1; i >= 0; i--) {
    tail += counts[i] as number;
    if (tail > allowed) return i + 1;
  }
  return 0;
}

/** The method 'mse' tries this many limits. */
const candidates = 128;

/** The range of least squared error among 128 of the form that the data have, each smaller than the one before. */
function mseRange(histogram: Histogram, whole: Range, options: RangeOptions): Range {
  let best = whole;
  let least = Number.POSITIVE_INFINITY;
  for (let i = candidates; i > 0; i--) {
    const range = { low: (whole.low * i) / candidates, high: (whole.high * i) / candidates };
    const error = squaredError(histogram, range, options);
    if (error < least) [best, least] = [range, error];
  }
  return best;
}

/** Sum of the squared quantisation errors, taken at the centres of the bins. */
function squaredError({ positive, negative, width }: Histogram, range: Range, options: RangeOptions): number {
  const parameters = parametersOf(range, options);
  const { low, high } = rangeOf(parameters, range);
  const { scale } = parameters;
  let error = 0;
  const add = (counts: Float64Array, sign: 1 | -1): void => {
    for (let i = 0; i < counts.length; i++) {
      const count = counts[i] as number;
      if (count === 0) continue;
      const value = sign * (i + 0.5) * width;
      const kept = min(high, max(low, round(value / scale) * scale));
      error += count * (value - kept) ** 2;
    }
  };
  add(positive, 1);
  if (range.low < 0) add(negative, -1);
  return error;
}

/** The method 'entropy' looks for a limit among this many bins: more make it slower and no better. */
const entropyBins = 2048;

/**
 * The limit whose clamped and quantised distribution differs least from the clamped one, by the divergence of Kullback and
 * Leibler: S. Migacz, "8-bit Inference with TensorRT", GTC 2017; details as in NVIDIA's pytorch-quantization:
 * absolute values, 128 levels (256 for numbers of one sign), zeros counted like the smallest numbers, the last of equal limits.
 */
function entropyLimit(histogram: Histogram, { scheme, bits }: RangeOptions): number {
  const all = sizes(histogram);
  const used = all.findLastIndex((count) => count > 0) + 1;
  const merge = ceil(used / entropyBins);
  const counts = new Float64Array(ceil(used / merge));
  for (let i = 0; i < used; i++) (counts[floor(i / merge)] as number) += all[i] as number;
  counts[0] = counts[1] ?? (counts[0] as number);

  const levels = 2 ** (scheme === 'symmetric' || histogram.min < 0 ? bits - 1 : bits);
  if (counts.length < levels) return counts.length * merge * histogram.width;
  const sums = new PrefixSums(counts);
  const divergences = Float64Array.from({ length: counts.length - levels + 1 }, (_, i) =>
    klDivergence(counts, levels + i, levels, sums),
  );
  const least = min(...divergences);
  const best = levels + divergences.findLastIndex((divergence) => divergence <= least + rounding);
  return best * merge * histogram.width;
}

/** Divergences that differ by less count as equal because they are sums of rounded numbers. */
const rounding = 1e-12;

function xLogX(x: number): number {
  return x === 0 ? 0 : x * log(x);
}

/** Prefix sums of counts: element i is the sum of the counts before i. */
class PrefixSums {
  readonly masses: Float64Array;
  /** How many of these counts are not 0. */
  readonly filled: Float64Array;
  readonly logs: Float64Array;

  constructor(counts: Float64Array) {
    const sums = (term: (count: number) => number): Float64Array => {
      const result = new Float64Array(counts.length + 1);
      counts.forEach((count, i) => {
        result[i + 1] = (result[i] as number) + term(count);
      });
      return result;
    };
    this.masses = sums((count) => count);
    this.filled = sums(Math.sign);
    this.logs = sums(xLogX);
  }
}

/**
 * Divergence between two distributions, the sum of p log(p / q). p: the first `kept` counts, with all others added to the last one.
 * q: the first `kept` counts alone, spread evenly within each of `levels` levels. The sum is split so that the parts of a level come from
 * prefix sums.
 */
function klDivergence(
  counts: Float64Array,
  kept: number,
  levels: number,
  { masses, filled, logs }: PrefixSums,
): number {
  const total = masses[kept] as number;
  if (total === 0) return Number.POSITIVE_INFINITY;
  const all = masses[counts.length] as number;
  const tail = all - total;
  const last = counts[kept - 1] as number;
  // The quantised distribution has nothing where the clamped numbers are.
  const lost = last === 0 && tail > 0 ? tail * log(tail / all / Number.EPSILON) : 0;
  const added = last === 0 ? 0 : tail;
  let sum = (logs[kept - 1] as number) + xLogX(last + added) + (total + added) * log(total / all) + lost;
  for (let level = 0, begin = 0; level < levels; level++) {
    const end = floor(((level + 1) * kept) / levels);
    const mass = (masses[end] as number) - (masses[begin] as number);
    const bins = (filled[end] as number) - (filled[begin] as number);
    if (bins > 0) sum -= (level === levels - 1 ? mass + added : mass) * log(mass / bins);
    begin = end;
  }
  return sum / all;
}

/** The share of numbers outside the range. */
export function saturationOf(histogram: Histogram, parameters: QuantizationParameters, range: Range): number {
  const { low, high } = rangeOf(parameters, range);
  // Half a step beyond the last integer still rounds to it.
  const half = parameters.scale / 2;
  return histogram.shareBeyond(low - half, high + half);
}
