import { describe, mismatch } from '../errors';
import { anything, integer, oneOf, optional, type Parsed, readForeign } from '../options';
import type { Preprocessing } from '../preprocessing';

/**
 * - 'auto': for each layer whichever is faster, by a fixed rule on its shape and the instruction set: the same input gives
 *   the same bits on every run. Differs from 'gemm' by at most 2e-5 (relative L2) over a whole network.
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
  readonly inputSize?: number | readonly [height: number, width: number];
  /** Images that a thread takes through the network together, at most; more than 8 count as 8. Batches may be larger. @default 8 */
  readonly maxBatch?: number;
  /** For images given as bytes. @default the model's own; of a model that has none, that of `createModel` */
  readonly preprocessing?: Preprocessing;
}

/** Height and width in pixels. */
export type Size = readonly [height: number, width: number];

const maxThreads = 1024;
const maxSide = 2 ** 16;
const maxBatch = 2 ** 16;

export const sessionFields = {
  threads: optional(integer(1, maxThreads)),
  algorithm: oneOf(['auto', 'gemm', 'winograd'], 'auto'),
  inputSize: optional(readSize),
  maxBatch: integer(1, maxBatch, 8),
  preprocessing: anything,
};

export type CheckedSessionOptions = Parsed<typeof sessionFields>;

function readSize(value: unknown, where: string): Size {
  const list = readForeign(where, () => (Array.isArray(value) ? value.slice(0, 3) : [value, value]));
  const [height, width] = list as [number, number];
  const isSide = (side: unknown): boolean =>
    Number.isSafeInteger(side) && (side as number) >= 1 && (side as number) <= maxSide;
  if (list.length === 2 && list.every(isSide)) return [height, width];
  throw mismatch('ERR_INVALID_ARG', where, `a side from 1 to ${maxSide}, or [height, width]`, describe(value));
}
