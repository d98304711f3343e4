import { describe, mismatch } from '../errors';
import { info } from '../info';
import { boolean, integer, number, oneOf, optional, type Parsed, parseOptions, readForeign } from '../options';
import { signalField } from '../runtime/abort';

/** Progress of a quantisation. */
export interface QuantizationProgress {
  /** The purpose of the present pass over the images: equalisation, ranges of activations, or correction of biases. */
  readonly stage: 'equalize' | 'calibrate' | 'correct';
  /** Images of this pass so far. */
  readonly images: number;
}

/** Bits of weights and activations. */
export interface Bits {
  /** @default 8 */
  readonly weights?: number;
  /** @default 8 */
  readonly activations?: number;
}

/** Options of {@link quantize}. */
export interface QuantizeOptions {
  /**
   * How the range of activations is chosen; numbers beyond it are clamped. Images and logits always keep their whole range.
   * - 'mse': the range with the least squared error.
   * - 'minmax': the whole range of the calibration images.
   * - 'percentile': the whole range without the largest few numbers.
   * - 'entropy': the range that changes the distribution least (Kullback-Leibler), as in TensorRT.
   * @default 'mse'
   */
  readonly method?: 'minmax' | 'percentile' | 'entropy' | 'mse';
  /** Percentage of numbers that the method 'percentile' keeps. @default 99.99 */
  readonly percentile?: number;
  /**
   * - 'affine': activations from 0 to 255; after a ReLU zero is 0, so that all integers are used.
   * - 'symmetric': activations from -128 to 127 with zero in the middle, so that half of them are unused after a ReLU. NVIDIA's
   *   toolkit and the QARepVGG paper do this.
   * @default 'affine'
   */
  readonly scheme?: 'affine' | 'symmetric';
  /** A scale for each output channel of a weight; otherwise one for all. @default true */
  readonly perChannel?: boolean;
  /**
   * From 4 to 8 bits, to see the effect of fewer bits: they are still stored and computed as bytes. Inputs, logits and
   * activations without a ReLU always have 8.
   * @default 8
   */
  readonly bits?: number | Bits;
  /**
   * Cross-layer equalisation: scales channels so that their ranges become more alike. Needs one more pass over the images.
   * @default false; for a {@link Model} whose outputs have less than 30 dB, whichever is better, if the images can be read again
   */
  readonly equalize?: boolean;
  /**
   * Corrects biases by the mean error that quantisation makes in each channel. Needs one more, slow pass over the images.
   * @default as equalize
   */
  readonly biasCorrection?: boolean;
  /** Names of layers that stay in float: "stage0", "linear"; see {@link sensitivity}. @default [] */
  readonly keepFloat?: readonly string[];
  /** Also round logits to 8 bits, so that other runtimes compute the same bits. @default false */
  readonly quantizeLogits?: boolean;
  /** Threads that compute layers, in addition to the one that reads their outputs. @default info().threads - 1, at least 1 */
  readonly threads?: number;
  /** Called with the progress. */
  readonly onProgress?: (progress: QuantizationProgress) => void;
  /** Stops the work. */
  readonly signal?: AbortSignal;
}

const bitCount = integer(4, 8, 8);

const fields = {
  method: oneOf(['minmax', 'percentile', 'entropy', 'mse'], 'mse'),
  percentile: number(50, 100, 99.99),
  scheme: oneOf(['affine', 'symmetric'], 'affine'),
  perChannel: boolean(true),
  bits: readBits,
  equalize: optional(boolean(false)),
  biasCorrection: optional(boolean(false)),
  keepFloat: readNames,
  quantizeLogits: boolean(false),
  threads: (value: unknown) => integer(1, 1024, Math.max(1, info().threads - 1))(value),
  onProgress: optional(readListener),
  signal: signalField,
};

export type CheckedQuantizeOptions = Parsed<typeof fields>;

/** @throws {QARepVGGError} ERR_INVALID_ARG naming the option. */
export function readQuantizeOptions(options: unknown): CheckedQuantizeOptions {
  return parseOptions(fields, options);
}

const { biasCorrection: _, ...sensitivityFields } = fields;

/** Same for `sensitivity`, which corrects no biases. @throws {QARepVGGError} ERR_INVALID_ARG naming the option. */
export function readSensitivityOptions(options: unknown): CheckedQuantizeOptions {
  return { ...parseOptions(sensitivityFields, options), biasCorrection: false };
}

function readBits(value: unknown): Required<Bits> {
  if (typeof value !== 'object') {
    const bits = bitCount(value);
    return { weights: bits, activations: bits };
  }
  return parseOptions({ weights: bitCount, activations: bitCount }, value);
}

function readNames(value: unknown): readonly string[] {
  if (value === undefined) return [];
  const names = readForeign(() => (Array.isArray(value) ? [...(value as unknown[])] : undefined));
  if (names?.every((name): name is string => typeof name === 'string')) return names;
  throw mismatch('ERR_INVALID_ARG', 'an array of names', describe(value));
}

function readListener(value: unknown): (progress: QuantizationProgress) => void {
  if (typeof value === 'function') return value as (progress: QuantizationProgress) => void;
  throw mismatch('ERR_INVALID_ARG', 'a function', describe(value));
}
