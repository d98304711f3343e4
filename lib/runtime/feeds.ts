import { didYouMean } from '../did-you-mean';
import { describe, describeList, mismatch } from '../errors';
import type { DataType, TensorData } from '../graph/graph';
import { readForeign } from '../options';
import type { Tensor } from '../tensor';
import type { Images } from './images';

/** What goes into a run, by the names of `inputNames`. */
export type Feeds = Readonly<Record<string, Images | GraphInput>>;

/** Numbers of the type that a graph's input has. */
export interface GraphInput {
  readonly data: TensorData;
  readonly dims: readonly number[];
}

/** A result of a graph: floats, or what else its output's type says. */
export interface GraphOutput {
  /** Left out for networks of this package, whose results are floats. */
  readonly type?: DataType;
  readonly data: TensorData;
  readonly dims: number[];
}

/**
 * The results of a run, by the names of `outputNames`: of a network of this package `logits`, [n, classes], of a block or
 * convolution [n, c, h, w].
 */
export interface Fetches {
  readonly [name: string]: GraphOutput;
  readonly logits: Tensor;
}

/** Checks the names of the outputs that a caller wants. @throws {QARepVGGError} ERR_INVALID_ARG */
export function checkFetches(wanted: unknown, names: readonly string[], where: string): void {
  const list = readForeign(where, () => (Array.isArray(wanted) ? [...(wanted as unknown[])] : undefined));
  if (list !== undefined && list.length > 0 && list.every((name) => names.includes(name as string))) return;
  const odd = list?.find((name) => !names.includes(name as string));
  const received = list ? describeList(list) + didYouMean(odd, names) : describe(wanted);
  throw mismatch('ERR_INVALID_ARG', `${where}, outputs`, `names among ${describeList(names)}`, received);
}
