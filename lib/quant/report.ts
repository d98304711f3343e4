import type { FloatConv, FloatLayer, QuantizedLayer } from '../integer/layers';
import type { QuantizationRecipe, QuantizedModel } from '../integer/quantized-model';
import { letOthersRun } from '../runtime/abort';
import type { Choice } from './assemble';
import { dequantizeConv, magnitude } from './convolution';
import { type Bins, coarse, Histogram } from './histogram';
import type { RunOptions } from './layer-runner';
import { saturationOf } from './ranges';
import { Simulation } from './simulation';
import type { Statistics } from './statistics';

/** What was seen and chosen of numbers that go from one layer to the next. */
export interface ActivationReport {
  /** Smallest number that was seen. */
  readonly min: number;
  readonly max: number;
  /** What a step of their integers stands for; absent where they stay in float. */
  readonly scale?: number;
  /** The integer from 0 to 255 that stands for 0. */
  readonly zeroPoint?: number;
  /** Share of the numbers that are clamped; 0 where they stay in float. */
  readonly saturation: number;
  readonly activations: Bins;
}

/** Of a layer's weights. */
export interface WeightReport {
  readonly min: number;
  readonly max: number;
  /** Smallest and largest scale of its channels; absent where they stay in float. */
  readonly scales?: readonly [min: number, max: number];
  /** Signal to quantisation noise in decibels; infinite (null in JSON) without noise. */
  readonly sqnr: number;
  /** Largest absolute weight of each output channel. */
  readonly channels: readonly number[];
  readonly histogram: Bins;
}

/** Of a layer: the numbers are those that go into it, as it is their scale that it computes with. */
export interface LayerReport extends ActivationReport {
  readonly name: string;
  readonly kind: QuantizedLayer['kind'];
  readonly precision: QuantizedLayer['precision'];
  /**
   * Signal to quantisation noise, in decibels, of what the layer puts out in the quantised model, against the float model, on
   * the first calibration images; infinite (null in JSON) without noise.
   */
  readonly sqnr: number;
  /** Of convolutions and linear layers. */
  readonly weights?: WeightReport;
}

/** What {@link quantize} has seen and done. Plain data: `JSON.stringify` keeps all of it. */
export interface QuantizationReport {
  /** "QuantizedModel(qarepvgg_a0, 3 -> 1000, int8 form, 23 of 23 layers)" */
  readonly model: string;
  readonly recipe: QuantizationRecipe;
  /** Bytes of all tensors, and of the same in float32. */
  readonly bytes: number;
  readonly floatBytes: number;
  /** In the order in which they compute. */
  readonly layers: readonly LayerReport[];
  /** What comes out of the model. */
  readonly output: ActivationReport & { readonly sqnr: number };
}

const binsShown = 64;

export async function makeReport(
  model: QuantizedModel,
  { layers, histograms, sample }: Statistics,
  choices: readonly Choice[],
  options: RunOptions,
  where: string,
): Promise<QuantizationReport> {
  const noise = await measure(layers, model, sample, options, where);
  const rows: LayerReport[] = [];
  for (const [i, layer] of model.layers.entries()) {
    await letOthersRun(options.signal, where);
    const { name, kind, precision } = layer;
    const weights = layer.kind === 'conv' && reportWeights(layers[i] as FloatConv, layer);
    rows.push({
      ...{ name, kind, precision },
      ...reportActivations(histograms[i] as Histogram, precision === 'int8' ? choices[i] : undefined),
      sqnr: noise[i] as number,
      ...(weights && { weights }),
    });
  }
  const output = reportActivations(histograms.at(-1) as Histogram, model.output && choices.at(-1));
  const { bytes, floatBytes } = model.summary();
  return {
    ...{ model: model.toString(), recipe: model.recipe, bytes, floatBytes, layers: rows },
    output: { ...output, sqnr: noise.at(-1) as number },
  };
}

function reportActivations(histogram: Histogram, choice: Choice | undefined): ActivationReport {
  const { min, max } = histogram;
  const activations = coarse(histogram, binsShown);
  if (!choice) return { min, max, saturation: 0, activations };
  const { parameters, range } = choice;
  return { min, max, ...parameters, saturation: saturationOf(histogram, parameters, range), activations };
}

function reportWeights(float: FloatConv, layer: Extract<QuantizedLayer, { kind: 'conv' }>): WeightReport {
  const size = float.weight.length / float.outChannels;
  const channels = Array.from({ length: float.outChannels }, (_, i) =>
    magnitude(float.weight.subarray(i * size, (i + 1) * size)),
  );
  const histogram = new Histogram();
  histogram.add(float.weight, layer.name);
  const common = { min: histogram.min, max: histogram.max, channels, histogram: coarse(histogram, binsShown) };
  if (layer.precision === 'float32') return { ...common, sqnr: Number.POSITIVE_INFINITY };
  const ratio = new Ratio();
  ratio.add(float.weight, dequantizeConv(layer).weight);
  return { ...common, scales: [Math.min(...layer.weightScale), Math.max(...layer.weightScale)], sqnr: ratio.decibels };
}

/** Signal to noise of what each layer puts out, in decibels. */
async function measure(
  layers: readonly FloatLayer[],
  { layers: quantized, output }: QuantizedModel,
  sample: Statistics['sample'],
  options: RunOptions,
  where: string,
): Promise<number[]> {
  const ratios = layers.map(() => new Ratio());
  const simulation = new Simulation(layers, quantized, output, options, where);
  try {
    for (const images of sample) {
      await simulation.run(images, {
        after: ({ layer, exact, quantized }) => ratios[layer]?.add(exact.data, quantized.data),
      });
    }
  } finally {
    simulation.dispose();
  }
  return ratios.map(({ decibels }) => decibels);
}

/** Ratio of a signal to what is wrong with it. */
export class Ratio {
  #signal = 0;
  #noise = 0;

  add(exact: Float32Array, received: Float32Array): void {
    for (let i = 0; i < exact.length; i++) {
      const value = exact[i] as number;
      this.#signal += value ** 2;
      this.#noise += (value - (received[i] as number)) ** 2;
    }
  }

  /** Infinite without noise. */
  get decibels(): number {
    return this.#noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(this.#signal / this.#noise);
  }
}
