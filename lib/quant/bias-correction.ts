import type { Tensor } from '../tensor';
import type { CalibrationReader } from './calibration';
import type { FloatLayer } from './layers';
import type { QuantizedModel } from './quantized-model';
import { Simulation } from './simulation';
import type { PassOptions } from './statistics';
import { eachChunk } from './statistics';

/** Sums over images of how far a layer's output is off in each channel. */
interface Errors {
  readonly sums: Float64Array;
  /** Values per channel. */
  count: number;
}

/**
 * Bias correction (Nagel et al., arXiv 1906.04721): what quantisation adds to the mean of a channel is taken off its bias,
 * layer by layer, each on what comes out of the corrected layers before it. The means are those of the images so far, so
 * that they are gone through but once: the first images are judged by rougher corrections, which the others outweigh.
 *
 * @returns The layers with corrected biases.
 */
export async function correctBiases(
  layers: readonly FloatLayer[],
  { layers: quantized, output }: QuantizedModel,
  reader: CalibrationReader,
  options: PassOptions,
  where: string,
): Promise<FloatLayer[]> {
  const errors = quantized.map((layer): Errors | undefined =>
    layer.kind === 'conv' && layer.precision === 'int8'
      ? { sums: new Float64Array(layer.outChannels), count: 0 }
      : undefined,
  );
  const simulation = new Simulation(layers, quantized, output, options.threads, where);
  try {
    for await (const chunk of eachChunk(reader, 'correct', options, where)) {
      await simulation.run(chunk, {
        beforeRelu: ({ layer, exact, quantized }) => {
          const error = errors[layer];
          if (error) correct(error, exact, quantized);
        },
      });
    }
  } finally {
    simulation.dispose();
  }
  return layers.map((layer, i) => {
    const error = errors[i];
    if (!error || layer.kind !== 'conv') return layer;
    return { ...layer, bias: layer.bias.map((value, c) => value - (error.sums[c] as number) / error.count) };
  });
}

/** Takes a chunk into account, then takes the mean error off its quantised values. */
function correct(error: Errors, { data: exact, dims }: Tensor, { data: quantized }: Tensor): void {
  const [, channels, height, width] = dims as [number, number, number, number];
  const area = height * width;
  const planes = exact.length / area;
  for (let plane = 0; plane < planes; plane++) {
    let sum = 0;
    for (let i = plane * area; i < (plane + 1) * area; i++) sum += (quantized[i] as number) - (exact[i] as number);
    (error.sums[plane % channels] as number) += sum;
  }
  error.count += exact.length / channels;
  for (let plane = 0; plane < planes; plane++) {
    const mean = (error.sums[plane % channels] as number) / error.count;
    for (let i = plane * area; i < (plane + 1) * area; i++) (quantized[i] as number) -= mean;
  }
}
