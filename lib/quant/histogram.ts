import { addon } from '../binding';
import { checkFinite } from '../finite';

/** Bins on each side of zero. */
const binCount = 4096;

const { max, floor, ceil, abs } = Math;

/**
 * Counts numbers in bins of equal width on both sides of zero. If a number lies beyond the last bin, the width doubles and pairs of bins
 * are merged. So numbers may come in any order without being kept, and at least half of the bins are in use.
 */
export class Histogram {
  readonly #counts = new Float64Array(2 * binCount);
  /** Element i counts numbers from i * width to below (i + 1) * width. */
  readonly positive = this.#counts.subarray(0, binCount);
  /** Same for the absolute values of numbers below zero. */
  readonly negative = this.#counts.subarray(binCount);
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  /** How many numbers were counted. */
  count = 0;
  /** Width of a bin; 0 while all numbers were 0. */
  width = 0;

  /** @throws {QARepVGGError} ERR_NON_FINITE; then nothing is counted. */
  add(values: Float32Array): void {
    const [low, high] = checkFinite(values);
    this.min = Math.min(this.min, low);
    this.max = max(this.max, high);
    this.count += values.length;
    this.#widen(max(abs(low), abs(high)));
    addon.countValues(values, this.#counts, this.width === 0 ? 1 : 1 / this.width);
  }

  /** Merges histograms; exact to the width of a bin. */
  static of(parts: readonly Histogram[]): Histogram {
    const [only, ...others] = parts;
    if (only && others.length === 0) return only;
    const all = new Histogram();
    for (const { min, max: high } of parts) all.#widen(max(0, -min, high));
    for (const part of parts) {
      all.min = Math.min(all.min, part.min);
      all.max = max(all.max, part.max);
      all.count += part.count;
      for (const side of ['positive', 'negative'] as const) {
        part[side].forEach((count, i) => {
          if (count === 0) return;
          const bin = part.width === 0 ? 0 : Math.min(binCount - 1, floor(((i + 0.5) * part.width) / all.width));
          all[side][bin] = (all[side][bin] as number) + count;
        });
      }
    }
    return all;
  }

  /** The histogram of the same numbers clamped to [low, high]. */
  within(low: number, high: number): Histogram {
    if (this.min >= low && this.max <= high) return this;
    const result = new Histogram();
    const clamp = (value: number): number => Math.min(high, max(low, value));
    [result.min, result.max, result.count] = [clamp(this.min), clamp(this.max), this.count];
    result.#widen(max(abs(result.min), abs(result.max)));
    if (result.width === 0) {
      result.positive[0] = this.count;
      return result;
    }
    for (const [side, sign] of [
      ['positive', 1],
      ['negative', -1],
    ] as const) {
      this[side].forEach((count, i) => {
        if (count === 0) return;
        const value = clamp(sign * (i + 0.5) * this.width);
        const counts = value < 0 ? result.negative : result.positive;
        const bin = Math.min(binCount - 1, floor(abs(value) / result.width));
        counts[bin] = (counts[bin] as number) + count;
      });
    }
    return result;
  }

  /** Share of the numbers that lie beyond [low, high]; exact to the width of a bin. */
  shareBeyond(low: number, high: number): number {
    const beyond = (counts: Float64Array, limit: number): number =>
      this.width === 0 ? 0 : sum(counts.subarray(max(0, ceil(limit / this.width - 1e-9))));
    return (beyond(this.positive, high) + beyond(this.negative, -low)) / this.count;
  }

  /** Widens the bins until `size` has one; the last bin includes its upper end. */
  #widen(size: number): void {
    if (this.width === 0) this.width = size / binCount;
    while (size > this.width * binCount) {
      this.width *= 2;
      halve(this.positive);
      halve(this.negative);
    }
  }
}

/** Merges pairs of bins. */
function halve(counts: Float64Array): void {
  const half = counts.length / 2;
  for (let i = 0; i < half; i++) counts[i] = (counts[2 * i] as number) + (counts[2 * i + 1] as number);
  counts.fill(0, half);
}

function sum(counts: Float64Array): number {
  return counts.reduce((total, count) => total + count, 0);
}

/** A histogram to show: counts[i] is how many numbers lie in part i of [low, high], whose parts are equal. */
export interface Bins {
  readonly low: number;
  readonly high: number;
  readonly counts: readonly number[];
}

/** Reduces a histogram to few bins, to show it. */
export function coarse({ positive, negative, width, min, max: high }: Histogram, bins: number): Bins {
  if (min === high) return { low: min, high, counts: [sum(positive) + sum(negative)] };
  const counts: number[] = Array(bins).fill(0);
  const place = (value: number): number => Math.min(bins - 1, max(0, floor((bins * (value - min)) / (high - min))));
  positive.forEach((count, i) => {
    if (count > 0) (counts[place((i + 0.5) * width)] as number) += count;
  });
  negative.forEach((count, i) => {
    if (count > 0) (counts[place(-(i + 0.5) * width)] as number) += count;
  });
  return { low: min, high, counts };
}
