import { biasScale, type FloatConv, type IntegerConv, type QuantizationParameters } from '../integer/layers';
import { roundHalfEven, scaleOf } from './ranges';

const { abs, fround, max, min } = Math;

/** How weights are quantised. */
export interface WeightOptions {
  /** A scale for each output channel, or one for all. */
  readonly perChannel: boolean;
  readonly bits: number;
}

/** A bias has up to so many steps: beside it, sums of products have room in 32 bits. */
const maxBias = 2 ** 28;

/** The bias of a channel of zeros has so many steps: then it is as exact as a float. */
const zeroChannelBias = 2 ** 24;

/**
 * A convolution in integers. Weights: the largest one of a channel, or of all, becomes 2^(bits - 1) - 1; a channel of zeros
 * stays zeros. Biases: in steps of input scale times weight scale, of which there must not be too many: where weights are so
 * small that there were, their scale is larger than they would need.
 */
export function quantizeConv(layer: FloatConv, input: QuantizationParameters, options: WeightOptions): IntegerConv {
  const { weight, bias, ...step } = layer;
  const levels = 2 ** (options.bits - 1) - 1;
  const size = weight.length / layer.outChannels;
  const channels = Array.from({ length: layer.outChannels }, (_, i) => weight.subarray(i * size, (i + 1) * size));
  const largest = channels.map(magnitude);
  const overall = max(...largest);
  const weightScale = Float32Array.from(channels, (_, i) => {
    const most = options.perChannel ? (largest[i] as number) : overall;
    const offset = abs(bias[i] as number) / input.scale;
    if (most === 0) return scaleOf(offset, zeroChannelBias);
    return max(scaleOf(most, levels), fround(offset / maxBias));
  });
  const integers = new Int8Array(weight.length);
  channels.forEach((values, i) => {
    const scale = weightScale[i] as number;
    for (let j = 0; j < size; j++) {
      integers[i * size + j] = max(-levels, min(levels, roundHalfEven((values[j] as number) / scale)));
    }
  });
  const steps = Int32Array.from(bias, (value, i) => roundHalfEven(value / biasScale(input, weightScale, i)));
  return { ...step, precision: 'int8', input, weight: integers, weightScale, bias: steps };
}

/** What the integers stand for. */
export function dequantizeConv(layer: IntegerConv): FloatConv {
  const { weight, bias, weightScale, input, precision: _, ...step } = layer;
  const size = weight.length / layer.outChannels;
  const scaled = new Float32Array(weight);
  weightScale.forEach((scale, channel) => {
    for (let i = channel * size; i < (channel + 1) * size; i++) (scaled[i] as number) *= scale;
  });
  return {
    ...step,
    precision: 'float32',
    weight: scaled,
    bias: Float32Array.from(bias, (value, i) => value * biasScale(input, weightScale, i)),
  };
}

/** The largest absolute value. */
export function magnitude(values: Float32Array): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = max(most, abs(values[i] as number));
  return most;
}
