import { mismatch } from '../errors';

/** Bins on each side of zero. */
export const binCount = 4096;

const { max, floor, ceil, abs } = Math;

const margin = 2 ** -20;

/**
 * How often numbers of each size came by, in bins of equal width on both sides of zero. Where a number lies beyond the
 * last bin, the width doubles and bins are added up in pairs: so numbers may come in any order, nothing is kept of them,
 * and at least half of the bins are in use.
 */
export class Histogram {
  /** counts[i]: numbers from i * width, below (i + 1) * width. */
  readonly positive = new Float64Array(binCount);
  /** The same of the sizes of numbers below zero. */
  readonly negative = new Float64Array(binCount);
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  /** How many numbers came by. */
  count = 0;
  /** Of a bin; 0 as long as all numbers were 0. */
  width = 0;

  /** @throws {QARepVGGError} ERR_NON_FINITE, saying what was `expected`; then nothing is counted. */
  add(values: Float32Array, where: string, expected: string): void {
    const [low, high] = extent(values);
    if (!Number.isFinite(low) || !Number.isFinite(high)) {
      throw mismatch('ERR_NON_FINITE', where, expected, String(values.find((value) => !Number.isFinite(value))));
    }
    this.min = Math.min(this.min, low);
    this.max = max(this.max, high);
    this.count += values.length;
    this.#widen(max(abs(low), abs(high)));
    if (this.width === 0) (this.positive[0] as number) += values.length;
    else if (low >= 0) countPositive(values, this.positive, 1 / this.width);
    else countSigned(values, this.positive, this.negative, 1 / this.width);
  }

  /** Share of the numbers that lie beyond [low, high]; exact to the width of a bin. */
  shareBeyond(low: number, high: number): number {
    const beyond = (counts: Float64Array, limit: number): number =>
      this.width === 0 ? 0 : sum(counts.subarray(max(0, ceil(limit / this.width - 1e-9))));
    return (beyond(this.positive, high) + beyond(this.negative, -low)) / this.count;
  }

  /** So that `size` has a bin; with a margin, that rounding may not put it behind the last one. */
  #widen(size: number): void {
    if (size === 0) return;
    if (this.width === 0) this.width = (size * (1 + margin)) / binCount;
    while (size > this.width * binCount * (1 - margin / 2)) {
      this.width *= 2;
      halve(this.positive);
      halve(this.negative);
    }
  }
}

/** Smallest and largest; NaN when there is one. */
function extent(values: Float32Array): [low: number, high: number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  // A NaN makes the sum NaN, and so do two infinities.
  let check = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value < low) low = value;
    if (value > high) high = value;
    check += value;
  }
  return Number.isNaN(check) ? [Number.NaN, Number.NaN] : [low, high];
}

function countPositive(values: Float32Array, counts: Float64Array, scale: number): void {
  for (let i = 0; i < values.length; i++) {
    const bin = ((values[i] as number) * scale) | 0;
    counts[bin] = (counts[bin] as number) + 1;
  }
}

function countSigned(values: Float32Array, positive: Float64Array, negative: Float64Array, scale: number): void {
  for (let i = 0; i < values.length; i++) {
    const value = (values[i] as number) * scale;
    const counts = value < 0 ? negative : positive;
    const bin = (value < 0 ? -value : value) | 0;
    counts[bin] = (counts[bin] as number) + 1;
  }
}

/** Adds bins up in pairs. */
function halve(counts: Float64Array): void {
  const half = counts.length / 2;
  for (let i = 0; i < half; i++) counts[i] = (counts[2 * i] as number) + (counts[2 * i + 1] as number);
  counts.fill(0, half);
}

export function sum(counts: Float64Array): number {
  return counts.reduce((total, count) => total + count, 0);
}

/** Bins of a histogram for people: counts[i] is how many numbers lie in the i-th of equal parts of [low, high]. */
export interface Bins {
  readonly low: number;
  readonly high: number;
  readonly counts: readonly number[];
}

/** A histogram in few bins, for people. */
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
