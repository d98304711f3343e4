import { mismatch } from '../errors';
import { sizeOf } from '../graph/graph';
import type { FloatLayer } from '../integer/layers';
import type { QuantizedModel } from '../integer/quantized-model';
import type { Tensor } from '../tensor';
import type { CalibrationReader } from './calibration';
import { Simulation } from './simulation';
import type { PassOptions } from './statistics';
import { eachChunk } from './statistics';

/** How far a layer's output is off in each channel, over the images so far. */
export interface Errors {
  readonly sums: Float64Array;
  /** Values that count. */
  readonly counts: Float64Array;
}

/**
 * Bias correction (Nagel et al., arXiv 1906.04721): what quantisation adds to the mean of a channel is subtracted from its bias,
 * layer by layer, each on the output of the corrected layers before it. Values that a ReLU makes zero in either model do
 * not count: their errors go no further, and in images with a plain background they are most of all.
 *
 * The means are those of the images so far, so that one pass is enough: the first images are judged by rougher
 * corrections, which the others outweigh.
 *
 * @returns The layers with corrected biases.
 * @throws {QARepVGGError} as {@link CalibrationReader.chunks}; ERR_NON_FINITE for activations that are not finite.
 */
export async function correctBiases(
  layers: readonly FloatLayer[],
  { layers: quantized, output }: QuantizedModel,
  reader: CalibrationReader,
  options: PassOptions,
  where: string,
): Promise<FloatLayer[]> {
  const errors = quantized.map((layer): Errors | undefined =>
    layer.kind === 'conv' && layer.precision === 'int8' ? noErrors(layer.outChannels) : undefined,
  );
  const relus = quantized.map((layer) => layer.kind === 'conv' && layer.relu);
  const simulation = new Simulation(layers, quantized, output, options, where);
  try {
    for await (const chunk of eachChunk(reader, 'correct', options, where)) {
      await simulation.run(chunk, {
        beforeRelu: ({ layer, exact, quantized }) => {
          const error = errors[layer];
          const limit = relus[layer] ? 0 : Number.NEGATIVE_INFINITY;
          const place = `${where}, output of layer ${layers[layer]?.name}`;
          if (!error) return;
          addErrors(error, exact, quantized, limit, place);
          takeOff(error, quantized);
        },
      });
    }
  } finally {
    simulation.dispose();
  }
  return layers.map((layer, i) => {
    const error = errors[i];
    if (!error || layer.kind !== 'conv') return layer;
    return { ...layer, bias: corrected(layer.bias, error) };
  });
}

export function noErrors(channels: number): Errors {
  return { sums: new Float64Array(channels), counts: new Float64Array(channels) };
}

/** A bias without the mean error of its channel. */
export function corrected(bias: Float32Array, error: Errors): Float32Array {
  return bias.map((value, channel) => value - mean(error, channel));
}

function mean({ sums, counts }: Errors, channel: number): number {
  return counts[channel] === 0 ? 0 : (sums[channel] as number) / (counts[channel] as number);
}

/**
 * Takes a chunk into account, where values are above `limit` in both models.
 *
 * @throws {QARepVGGError} ERR_NON_FINITE for values that are not finite, as in the pass before, which had other images then.
 */
export function addErrors(
  error: Errors,
  { data: exact, dims }: Tensor,
  { data: quantized }: Tensor,
  limit: number,
  where: string,
): void {
  const channels = dims[1] as number;
  const area = sizeOf(dims.slice(2));
  const planes = exact.length / area;
  for (let plane = 0; plane < planes; plane++) {
    let sum = 0;
    let count = 0;
    for (let i = plane * area; i < (plane + 1) * area; i++) {
      const [value, other] = [exact[i] as number, quantized[i] as number];
      if (value <= limit || other <= limit) continue;
      sum += other - value;
      count++;
    }
    if (!Number.isFinite(sum)) throw mismatch('ERR_NON_FINITE', where, 'finite numbers', `errors of ${sum}`);
    (error.sums[plane % channels] as number) += sum;
    (error.counts[plane % channels] as number) += count;
  }
}

/** In place: the mean errors so far. */
function takeOff(error: Errors, { data: quantized, dims }: Tensor): void {
  const channels = dims[1] as number;
  const area = sizeOf(dims.slice(2));
  for (let plane = 0; plane < quantized.length / area; plane++) {
    const shift = mean(error, plane % channels);
    for (let i = plane * area; i < (plane + 1) * area; i++) (quantized[i] as number) -= shift;
  }
}
