import type { QuantizedLayer } from '../integer/layers';
import type { QuantizationRecipe } from '../integer/quantized-model';
import type { Bins } from './histogram';

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

/** Of a layer, or a node of a graph: the numbers are those that go into it, as it is their scale that it computes with. */
export interface LayerReport extends ActivationReport {
  readonly name: string;
  /** 'conv', 'globalAverage' or 'squeezeExcite'; of a node its operator in ONNX. */
  readonly kind: string;
  readonly precision: QuantizedLayer['precision'];
  /** Why a node is in float that could compute in integers. */
  readonly reason?: string;
  /**
   * Signal to quantisation noise, in decibels, of what the layer puts out in the quantised model, against the float model, on
   * the first calibration images; infinite (null in JSON) without noise.
   */
  readonly sqnr: number;
  /** Of convolutions and linear layers. */
  readonly weights?: WeightReport;
}

/** Of an output of a graph. */
export interface OutputReport extends ActivationReport {
  readonly name: string;
  /** As {@link LayerReport.sqnr}; of the worst value in `judgedBy`, where that is given. */
  readonly sqnr: number;
  /** Of an output that follows from comparisons (of scores that are kept where they are largest around): the values compared. */
  readonly judgedBy?: readonly string[];
}

/** What to keep in float for less noise. */
export interface FloatAdvice {
  /** For the option `keepFloat`: what it named already, and more nodes. */
  readonly keepFloat: readonly string[];
  /** Signal to quantisation noise of the worst output then, in decibels, on some of the first calibration images. */
  readonly sqnr: number;
}

/** What quantisation costs in accuracy, on images with labels. */
export interface AccuracyReport {
  readonly images: number;
  /** Share of the images that the float model classifies correctly. */
  readonly float: number;
  readonly quantized: number;
  /** Share of the images that both classify alike. */
  readonly agreement: number;
}

/** What {@link quantize} has seen and done. Plain data: `JSON.stringify` keeps all of it. */
export interface QuantizationReport {
  /** When the model was quantised, as `Date.toISOString` writes it. */
  readonly createdAt: string;
  /** "QuantizedModel(qarepvgg_a0, 3 -> 1000, int8 form, 23 of 23 layers)" */
  readonly model: string;
  readonly recipe: QuantizationRecipe;
  /** Bytes of all tensors, and of the same in float32. */
  readonly bytes: number;
  readonly floatBytes: number;
  /** In the order in which they compute. */
  readonly layers: readonly LayerReport[];
  /** What comes out of the model; of several outputs the one with most noise. */
  readonly output: ActivationReport & { readonly sqnr: number };
  /** All outputs in float of a {@link Model}. */
  readonly outputs?: readonly OutputReport[];
  /** Of a {@link Model} with an output of less than 25 dB. */
  readonly advice?: FloatAdvice;
  /** Absent unless you add it: `quantize` knows no labels. The command line adds it where the labels are known. */
  readonly accuracy?: AccuracyReport;
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
