import { didYouMean } from '../did-you-mean';
import { describe, describeList, mismatch } from '../errors';
import type { DataType, TensorData } from '../graph/graph';
import { readForeign } from '../options';
import type { Tensor } from '../tensor';
import type { Images } from './images';

/** Inputs of a run, by the names in `inputNames`. */
export type Feeds = Readonly<Record<string, Images | GraphInput>>;

/** Numbers of the type of the graph's input. */
export interface GraphInput {
  readonly data: TensorData;
  readonly dims: readonly number[];
}

/** An output of a run: floats, or numbers of the type of the graph's output. */
export interface GraphOutput {
  /** Absent for networks of this package, whose outputs are floats. */
  readonly type?: DataType;
  readonly data: TensorData;
  readonly dims: number[];
}

/**
 * Outputs of a run, by the names in `outputNames`. A network of this package has one, `logits`: [n, classes]; for a block or
 * convolution [n, c, h, w].
 */
export interface Fetches {
  readonly [name: string]: GraphOutput;
  readonly logits: Tensor;
}

/** @throws {QARepVGGError} ERR_INVALID_ARG unless `wanted` is a list of names of outputs. */
export function checkFetches(wanted: unknown, names: readonly string[]): void {
  const list = readForeign(() => (Array.isArray(wanted) ? [...(wanted as unknown[])] : undefined));
  if (list !== undefined && list.length > 0 && list.every((name) => names.includes(name as string))) return;
  const odd = list?.find((name) => !names.includes(name as string));
  const received = list ? describeList(list) + didYouMean(odd, names) : describe(wanted);
  throw mismatch('ERR_INVALID_ARG', 'outputs', `names among ${describeList(names)}`, received);
}
