import type { QuantizedLayer } from '../model/quantized-layers';
import type { QuantizationRecipe } from '../model/quantized-model';
import type { Bins } from './histogram';

/** Activations between two layers: their calibration and the parameters chosen for them. */
export interface ActivationReport {
  /** Smallest number of the calibration images. */
  readonly min: number;
  readonly max: number;
  /** Their scale; absent if they stay in float. */
  readonly scale?: number;
  /** The integer from 0 to 255 that stands for 0. */
  readonly zeroPoint?: number;
  /** Share of the numbers that are clamped; 0 if they stay in float. */
  readonly saturation: number;
  readonly activations: Bins;
}

/** The weights of a layer. */
export interface WeightReport {
  readonly min: number;
  readonly max: number;
  /** Smallest and largest scale of the channels; absent if they stay in float. */
  readonly scales?: readonly [min: number, max: number];
  /** Signal to quantisation noise in decibels; infinite (null in JSON) without noise. */
  readonly sqnr: number;
  /** Largest absolute weight of each output channel. */
  readonly channels: readonly number[];
  readonly histogram: Bins;
}

/** A layer, or a node of a graph. The activations are those of its input, with whose scale it computes. */
export interface LayerReport extends ActivationReport {
  readonly name: string;
  /** 'conv', 'globalAverage' or 'squeezeExcite'; for a node, its operator in ONNX. */
  readonly kind: string;
  readonly precision: QuantizedLayer['precision'];
  /** Why a node that could compute in integers stays in float. */
  readonly reason?: string;
  /**
   * Signal to quantisation noise, in decibels, of the layer's output in the quantised model, compared with the float model, on
   * the first calibration images; infinite (null in JSON) without noise.
   */
  readonly sqnr: number;
  /** For convolutions and linear layers. */
  readonly weights?: WeightReport;
}

/** An output of a graph. */
export interface OutputReport extends ActivationReport {
  readonly name: string;
  /** Same as {@link LayerReport.sqnr}; for the worst value in `judgedBy`, if there is one. */
  readonly sqnr: number;
  /** The values that an output compares, for example scores of which the largest ones are kept. */
  readonly judgedBy?: readonly string[];
}

/** Advice which nodes to keep in float for less noise. */
export interface FloatAdvice {
  /** For the option `keepFloat`: the names it already has, and more nodes. */
  readonly keepFloat: readonly string[];
  /** Resulting signal to quantisation noise of the worst output, in decibels, on some of the first calibration images. */
  readonly sqnr: number;
}

/** Accuracy before and after, on images with labels. */
export interface AccuracyReport {
  readonly images: number;
  /** Share of the images that the float model classifies correctly. */
  readonly float: number;
  readonly quantized: number;
  /** Share of the images that both classify alike. */
  readonly agreement: number;
}

/** The report of {@link quantize}. Plain data: `JSON.stringify` keeps all of it. */
export interface QuantizationReport {
  /** When the model was quantised, as `Date.toISOString` writes it. */
  readonly createdAt: string;
  /** "QuantizedModel(qarepvgg_a0, 3 -> 1000, int8 form, 23 of 23 layers)" */
  readonly model: string;
  readonly recipe: QuantizationRecipe;
  /** Bytes of all tensors, and their bytes in float32. */
  readonly bytes: number;
  readonly floatBytes: number;
  /** In the order in which they compute. */
  readonly layers: readonly LayerReport[];
  /** The output of the model; the one with most noise if there are several. */
  readonly output: ActivationReport & { readonly sqnr: number };
  /** For a {@link Model}: all outputs in float. */
  readonly outputs?: readonly OutputReport[];
  /** For a {@link Model} with an output of less than 25 dB. */
  readonly advice?: FloatAdvice;
  /** Absent unless you add it, because `quantize` knows no labels. The command line adds it if it knows the labels. */
  readonly accuracy?: AccuracyReport;
}

/** Ratio of a signal to its error. */
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

  /** Infinite if there is no noise. */
  get decibels(): number {
    return this.#noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(this.#signal / this.#noise);
  }
}
