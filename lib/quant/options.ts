import { describe, mismatch } from '../errors';
import { info } from '../info';
import { boolean, integer, number, oneOf, optional, type Parsed, parseOptions, readForeign } from '../options';
import { signalField } from '../runtime/abort';

/** How far a quantisation is. */
export interface QuantizationProgress {
  /** What a pass over the images is for: factors of equalisation, ranges of activations, corrections of biases. */
  readonly stage: 'equalize' | 'calibrate' | 'correct';
  /** Images of this stage so far. */
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
   * How the range of activations is chosen; what lies beyond is clamped. Of images and logits, it is always the whole range.
   * - 'mse': of least squared error.
   * - 'minmax': the whole range that was seen.
   * - 'percentile': but for the largest few.
   * - 'entropy': whose distribution is least changed (Kullback-Leibler), as in TensorRT.
   * @default 'mse'
   */
  readonly method?: 'minmax' | 'percentile' | 'entropy' | 'mse';
  /** Of 100, how many numbers the method 'percentile' keeps. @default 99.99 */
  readonly percentile?: number;
  /**
   * - 'affine': activations from 0 to 255; after a ReLU zero is 0, so that all of them are of use.
   * - 'symmetric': activations from -128 to 127, zero in the middle: half of them are of no use after a ReLU. NVIDIA's
   *   toolkit, and so the paper.
   * @default 'affine'
   */
  readonly scheme?: 'affine' | 'symmetric';
  /** A scale for each output channel of a weight; otherwise one for all. @default true */
  readonly perChannel?: boolean;
  /**
   * Fewer bits than 8, from 4 on, to see what they would do: they are still stored and computed as bytes. Inputs, logits and
   * activations without a ReLU have 8 always.
   * @default 8
   */
  readonly bits?: number | Bits;
  /**
   * Cross-layer equalisation: scales channels so that their ranges become more alike. Needs one more pass over the images.
   * @default false; of a {@link Model}, as it turns out better where an output has less than 30 dB without, and images can be read again
   */
  readonly equalize?: boolean;
  /**
   * Corrects biases by the mean error that quantisation makes in each channel. Needs one more pass over the
   * images, a slow one.
   * @default as equalize
   */
  readonly biasCorrection?: boolean;
  /** Names of layers that stay in float: "stage0", "linear"; see {@link sensitivity}. @default [] */
  readonly keepFloat?: readonly string[];
  /** Round logits to 8 bits, too: useful where other runtimes are to compute the same bits. @default false */
  readonly quantizeLogits?: boolean;
  /** Threads that compute layers, beside the one that reads their outputs. @default info().threads - 1, but at least 1 */
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
  threads: (value: unknown, where: string) => integer(1, 1024, Math.max(1, info().threads - 1))(value, where),
  onProgress: optional(readListener),
  signal: signalField,
};

export type CheckedQuantizeOptions = Parsed<typeof fields>;

/** @throws {QARepVGGError} ERR_INVALID_ARG naming the option. */
export function readQuantizeOptions(options: unknown, where: string): CheckedQuantizeOptions {
  return parseOptions(where, fields, options);
}

const { biasCorrection: _, ...sensitivityFields } = fields;

/** The same of `sensitivity`, which corrects no biases. @throws {QARepVGGError} ERR_INVALID_ARG naming the option. */
export function readSensitivityOptions(options: unknown, where: string): CheckedQuantizeOptions {
  return { ...parseOptions(where, sensitivityFields, options), biasCorrection: false };
}

function readBits(value: unknown, where: string): Required<Bits> {
  if (typeof value !== 'object') {
    const bits = bitCount(value, where);
    return { weights: bits, activations: bits };
  }
  return parseOptions(where, { weights: bitCount, activations: bitCount }, value);
}

function readNames(value: unknown, where: string): readonly string[] {
  if (value === undefined) return [];
  const names = readForeign(where, () => (Array.isArray(value) ? [...(value as unknown[])] : undefined));
  if (names?.every((name): name is string => typeof name === 'string')) return names;
  throw mismatch('ERR_INVALID_ARG', where, 'an array of names', describe(value));
}

function readListener(value: unknown, where: string): (progress: QuantizationProgress) => void {
  if (typeof value === 'function') return value as (progress: QuantizationProgress) => void;
  throw mismatch('ERR_INVALID_ARG', where, 'a function', describe(value));
}
