import { type InputSize, sizeField } from '../image-size';
import type { InputShapes } from '../model/model';
import { anything, integer, oneOf, optional, type Parsed } from '../options';
import type { Preprocessing } from '../preprocessing';

/**
 * - 'auto': the faster one for each layer, by a fixed rule on its shape and the instruction set, so that the same input has the
 *   same bits in every run. Differs from 'gemm' by at most 2e-5 (relative L2) over a whole network.
 * - 'gemm': direct convolution everywhere. The most exact sums, and the least memory.
 * - 'winograd': Winograd's algorithm wherever the shape allows it, even where it is slower.
 */
export type Algorithm = 'auto' | 'gemm' | 'winograd';

/** Options of `InferenceSession.create`. */
export interface SessionOptions {
  /** Upper limit of threads, 1 to 1024. @default info().threads */
  readonly threads?: number;
  /** How convolutions are computed. @default 'auto' */
  readonly algorithm?: Algorithm;
  /**
   * Size of the images, in pixels, for which memory is planned and algorithms are chosen: a side or [height, width]. Other sizes
   * work too; the first run of each takes longer. @default the model's own, or else 32
   */
  readonly inputSize?: InputSize;
  /**
   * At most how many images a thread takes through the network together; more than 8 count as 8. Batches may be larger.
   * @default 8
   */
  readonly maxBatch?: number;
  /**
   * For a graph from an ONNX file of other origin: dims of inputs, by name, for which memory is planned and algorithms are chosen.
   * Other dims work too where the file leaves them open. @default the file's own, if only the number of images is open
   */
  readonly inputs?: InputShapes;
  /** How images given as bytes become inputs. @default the model's own; for a model without, that of `createModel` */
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
