import type { FloatConv, FloatLayer } from '../integer/layers';
import { letOthersRun } from '../runtime/abort';
import type { Tensor } from '../tensor';

/** Largest factor that a channel is scaled by, and largest divisor. */
const maxFactor = 16;

/** Indices of two convolutions with nothing between them but a ReLU, and perhaps the average over the pixels. */
interface Pair {
  readonly first: number;
  readonly second: number;
}

export function equalizablePairs(layers: readonly FloatLayer[]): Pair[] {
  return layers.flatMap((layer, first) => {
    if (layer.kind !== 'conv') return [];
    const second = layers[first + 1]?.kind === 'globalAverage' ? first + 2 : first + 1;
    return layers[second]?.kind === 'conv' ? [{ first, second }] : [];
  });
}

/** Raises `largest` to the largest absolute value of each channel of images [n, c, h, w]. */
export function raiseToMagnitudes(largest: Float32Array, { data, dims }: Tensor): void {
  const [, channels, height, width] = dims as [number, number, number, number];
  const area = height * width;
  for (let plane = 0; plane < data.length / area; plane++) {
    const channel = plane % channels;
    let most = largest[channel] as number;
    for (let i = plane * area; i < (plane + 1) * area; i++) {
      const value = Math.abs(data[i] as number);
      if (value > most) most = value;
    }
    largest[channel] = most;
  }
}

/**
 * Cross-layer equalisation (Nagel et al., arXiv 1906.04721): a channel is divided by a factor in one layer and multiplied by it
 * in the next, which changes nothing, as a ReLU lets factors above 0 through. Each factor is sqrt(r1 / r2), with r1 the
 * channel's largest activation and r2 the largest weight that takes it up: so channels come to lie in ranges more alike, which
 * is what one scale for all of them needs.
 *
 * Factors are powers of two. Multiplying by them is exact: the network in float computes the same bits as before.
 *
 * @param largest For the first layer of each pair its channels' largest activations.
 */
export async function equalize(
  layers: readonly FloatLayer[],
  largest: ReadonlyMap<number, Float32Array>,
  signal: AbortSignal | undefined,
  where: string,
): Promise<FloatLayer[]> {
  const result = [...layers];
  for (const { first, second } of equalizablePairs(layers)) {
    await letOthersRun(signal, where);
    const [one, two] = [result[first] as FloatConv, result[second] as FloatConv];
    [result[first], result[second]] = equalizePair(one, two, largest.get(first) as Float32Array);
  }
  return result;
}

/** What of a convolution equalisation knows: weights [outChannels, inChannels / groups, ...taps]. */
export type Equalizable = Pick<FloatConv, 'weight' | 'bias' | 'outChannels' | 'inChannels' | 'groups'>;

/** @param largest Of the channels between the two. */
export function equalizePair<A extends Equalizable, B extends Equalizable>(
  one: A,
  two: B,
  largest: Float32Array,
): [A, B] {
  const factors = factorsOf(largest, inputMagnitudes(two));
  return [scaleOutputs(one, factors), scaleInputs(two, factors)];
}

/** The largest absolute weight that takes up each input channel. */
export function inputMagnitudes(layer: Equalizable): Float32Array {
  const largest = new Float32Array(layer.inChannels);
  eachInput(layer, (begin, end, channel) => {
    for (let i = begin; i < end; i++) {
      const size = Math.abs(layer.weight[i] as number);
      if (size > (largest[channel] as number)) largest[channel] = size;
    }
  });
  return largest;
}

function factorsOf(activations: Float32Array, weights: Float32Array): Float32Array {
  const logs = Array.from(activations, (activation, i) => Math.log2(Math.sqrt(activation / (weights[i] as number))));
  const finite = logs.filter(Number.isFinite);
  // Around their mean: to scale all channels alike would be of no use.
  const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
  const limit = Math.log2(maxFactor);
  // A channel that is dead on either side stays as it is.
  const exponent = (value: number): number =>
    Number.isFinite(value) ? Math.round(Math.min(limit, Math.max(-limit, value - mean))) : 0;
  return Float32Array.from(logs, (value) => 2 ** exponent(value));
}

export function scaleOutputs<L extends Equalizable>(layer: L, factors: Float32Array): L {
  const weight = layer.weight.slice();
  const size = weight.length / layer.outChannels;
  factors.forEach((factor, i) => {
    multiply(weight, i * size, (i + 1) * size, 1 / factor);
  });
  return {
    ...layer,
    weight,
    bias: layer.bias.map((value, i) => value / (factors[i] as number)),
  };
}

export function scaleInputs<L extends Equalizable>(layer: L, factors: Float32Array): L {
  const weight = layer.weight.slice();
  eachInput(layer, (begin, end, channel) => multiply(weight, begin, end, factors[channel] as number));
  return { ...layer, weight };
}

/** In place. Exact: factors are powers of two. */
function multiply(values: Float32Array, begin: number, end: number, factor: number): void {
  for (let i = begin; i < end; i++) (values[i] as number) *= factor;
}

/** Where the weights lie that take up an input channel for one output channel: from `begin` on, below `end`. */
function eachInput(
  { weight, outChannels, inChannels, groups }: Equalizable,
  visit: (begin: number, end: number, channel: number) => void,
): void {
  const depth = inChannels / groups;
  const taps = weight.length / outChannels / depth;
  for (let out = 0, begin = 0; out < outChannels; out++) {
    const base = Math.floor((out * groups) / outChannels) * depth;
    for (let channel = 0; channel < depth; channel++, begin += taps) {
      visit(begin, begin + taps, base + channel);
    }
  }
}
