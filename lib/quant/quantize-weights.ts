import type { IntegerConv } from '../model/quantized-layers';
import type { Steps } from '../slices';
import { roundHalfEven, scaleOf } from './ranges';

const { abs, fround, max, min } = Math;

/** How weights are quantised. */
export interface WeightOptions {
  /** A scale for each output channel, or one for all. */
  readonly perChannel: boolean;
  readonly bits: number;
}

/** Largest integer of a bias, so that sums of products fit into the rest of 32 bits. */
const maxBias = 2 ** 28;

/** The bias of a channel of zeros becomes this integer, which is as exact as a float. */
const zeroChannelBias = 2 ** 24;

/** Weights and biases in integers. */
export type IntegerWeights = Pick<IntegerConv, 'weight' | 'weightScale' | 'bias'>;

/**
 * The largest weight of a channel, or of all channels, becomes 2^(bits - 1) - 1; a channel of zeros stays zeros. The scale of a bias is
 * input scale times weight scale. Where weights are so small that the integer of the bias would be too large, their scale is larger than
 * they need.
 *
 * @param weight One row for each bias.
 * @param inputScale The scale of the input.
 */
export function* quantizeWeights(
  weight: Float32Array,
  bias: Float32Array,
  inputScale: number,
  options: WeightOptions,
): Steps<IntegerWeights> {
  const levels = 2 ** (options.bits - 1) - 1;
  const channels = rowsOf(weight, bias.length);
  const size = weight.length / bias.length;
  const largest: number[] = [];
  for (const values of channels) {
    largest.push(magnitude(values));
    yield;
  }
  const overall = max(...largest);
  const weightScale = Float32Array.from(channels, (_, i) => {
    const most = options.perChannel ? (largest[i] as number) : overall;
    const offset = abs(bias[i] as number) / inputScale;
    if (most === 0) return scaleOf(offset, zeroChannelBias);
    return max(scaleOf(most, levels), fround(offset / maxBias));
  });
  const integers = new Int8Array(weight.length);
  for (const [i, values] of channels.entries()) {
    const scale = weightScale[i] as number;
    for (let j = 0; j < size; j++) {
      integers[i * size + j] = max(-levels, min(levels, roundHalfEven((values[j] as number) / scale)));
    }
    yield;
  }
  const steps = Int32Array.from(bias, (value, i) =>
    roundHalfEven(value / fround(inputScale * (weightScale[i] as number))),
  );
  return { weight: integers, weightScale, bias: steps };
}

/** Dequantises weights, one output channel after the other. */
export function dequantizeWeights({
  weight,
  weightScale,
}: Pick<IntegerWeights, 'weight' | 'weightScale'>): Float32Array {
  const size = weight.length / weightScale.length;
  const scaled = new Float32Array(weight);
  weightScale.forEach((scale, channel) => {
    for (let i = channel * size; i < (channel + 1) * size; i++) (scaled[i] as number) *= scale;
  });
  return scaled;
}

/** Splits an array into views of equal length. */
export function rowsOf(values: Float32Array, count: number): Float32Array[] {
  const size = values.length / count;
  return Array.from({ length: count }, (_, i) => values.subarray(i * size, (i + 1) * size));
}

/** The largest absolute value. */
export function magnitude(values: Float32Array): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = max(most, abs(values[i] as number));
  return most;
}
