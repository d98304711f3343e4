import { type InputSize, sizeField } from '../image-size';
import type { InputShapes } from '../model/model';
import { anything, integer, oneOf, optional, type Parsed } from '../options';
import type { Preprocessing } from '../preprocessing';

/**
 * - 'auto': for each layer whichever is faster, by a fixed rule on its shape and the instruction set: the same input has
 *   the same result, bit for bit, in every run. Differs from 'gemm' by at most 2e-5 (relative L2) over a whole network.
 * - 'gemm': direct convolution throughout. The strictest sums, and the least memory.
 * - 'winograd': Winograd's algorithm wherever the shape allows it, faster or not.
 */
export type Algorithm = 'auto' | 'gemm' | 'winograd';

/** Options of `InferenceSession.create`. */
export interface SessionOptions {
  /** Upper limit of threads, 1 to 1024. @default info().threads */
  readonly threads?: number;
  /** How convolutions are computed. @default 'auto' */
  readonly algorithm?: Algorithm;
  /**
   * Image size in pixels that memory and algorithms are chosen for, a side or [height, width]. Others work too, and cost
   * some time when they come up first. @default the model's own, or else 32
   */
  readonly inputSize?: InputSize;
  /** Images that a thread takes through the network together, at most; more than 8 count as 8. Batches may be larger. @default 8 */
  readonly maxBatch?: number;
  /**
   * Dims of inputs that memory and algorithms are chosen for, by name, of a graph from an ONNX file of other origin. Others work
   * too, where the file leaves them open. @default the file's own, where nothing but the number of images is open
   */
  readonly inputs?: InputShapes;
  /** For images given as bytes. @default the model's own; of a model that has none, that of `createModel` */
  readonly preprocessing?: Preprocessing;
}

const maxThreads = 1024;
const maxSide = 2 ** 16;
const maxBatch = 2 ** 16;

export const sessionFields = {
  threads: optional(integer(1, maxThreads)),
  algorithm: oneOf(['auto', 'gemm', 'winograd'], 'auto'),
  inputSize: optional(sizeField(maxSide)),
  maxBatch: integer(1, maxBatch, 8),
  preprocessing: anything,
  inputs: anything,
};

export type CheckedSessionOptions = Parsed<typeof sessionFields>;
