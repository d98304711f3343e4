import { describe, describeList, mismatch, type QARepVGGError, quote } from '../errors';
import type { Dim, Graph, Value } from '../graph/graph';
import type { InputDims } from '../graph/specialize';
import { maxRank } from '../limits';
import { readForeign } from '../options';

/** The longest axis. */
const maxDim = 2 ** 31 - 1;

/**
 * Returns dims for every input: the given ones, else those of the graph, with a batch of 1 where the batch is open.
 *
 * @param given `{ images: [1, 3, 640, 640] }`; need not name every input.
 * @throws {QARepVGGError} ERR_INVALID_ARG for a name that is not an input; ERR_SHAPE for dims that do not fit or stay open.
 */
export function completeInputDims({ inputs }: Graph, given: unknown): InputDims {
  const lists = readLists(given);
  const odd = [...lists.keys()].find((name) => !inputs.some((input) => input.name === name));
  if (odd !== undefined) {
    const names = inputs.map(({ name }) => name);
    throw mismatch('ERR_INVALID_ARG', `only the inputs ${names.map(quote).join(', ')}`, quote(odd));
  }
  return new Map(
    inputs.map((input) => {
      const dims = lists.get(input.name);
      return [input.name, dims ? checkInputDims(input, dims) : ownDims(input)];
    }),
  );
}

/** @throws {QARepVGGError} ERR_SHAPE unless the dims have the input's rank, and its lengths where they are fixed. */
export function checkInputDims({ name, dims }: Value, given: readonly unknown[]): readonly number[] {
  // A length of 0 is allowed only where the graph fixes it.
  const fits =
    given.length === dims.length &&
    given.every((dim, i) => (dim === 0 && dims[i] === 0) || (isLength(dim) && accepts(dims[i] as Dim, dim)));
  if (fits) return given as readonly number[];
  throw wrongDims(name, dims, describeList(given));
}

function accepts(dim: Dim, length: number): boolean {
  return typeof dim === 'string' || dim === length;
}

function isLength(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= maxDim;
}

function ownDims({ name, dims }: Value): readonly number[] {
  const own = dims.map((dim, axis) => (typeof dim === 'string' && axis === 0 ? 1 : dim));
  if (own.every((dim) => typeof dim === 'number')) return own;
  throw wrongDims(name, dims, 'none');
}

function wrongDims(name: string, dims: readonly Dim[], received: string): QARepVGGError {
  return mismatch('ERR_SHAPE', `input ${quote(name)}`, `dims [${dims.join(', ')}]`, received);
}

function readLists(given: unknown): Map<string, readonly unknown[]> {
  if (given === undefined) return new Map();
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw mismatch('ERR_INVALID_ARG', 'an object of dims by name', describe(given));
  }
  const entries = readForeign(() =>
    Object.entries(given).map(
      ([name, dims]) => [name, Array.isArray(dims) ? dims.slice(0, maxRank + 1) : dims] as const,
    ),
  );
  return new Map(
    entries.map(([name, dims]) => {
      if (Array.isArray(dims)) return [name, dims];
      throw mismatch('ERR_INVALID_ARG', quote(name), 'an array of dims', describe(dims));
    }),
  );
}
