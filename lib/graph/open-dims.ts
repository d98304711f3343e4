import { QARepVGGError } from '../errors';
import type { Steps } from '../slices';
import { hasBranches } from './branches';
import type { Dim, Graph } from './graph';
import { type InputDims, specializeSteps } from './specialize';

/** Lengths that most networks accept: sides of images, which strides and windows divide, and longer lines. */
const trials = [
  { side: 224, line: 2048 },
  { side: 448, line: 4096 },
] as const;

/**
 * Finds a node that does not fit whatever the open dims of a run are, such as weights for another number of channels: one that fails
 * in the same way for two sizes. With an If, both may take a branch that is not for them.
 *
 * @throws {QARepVGGError} the error of such a node.
 */
export function* checkOpenDims(graph: Graph): Steps<void> {
  if (hasBranches(graph)) return;
  const first = yield* faultFor(graph, trials[0]);
  if (!first) return;
  const second = yield* faultFor(graph, trials[1]);
  if (second && second.code === first.code && second.message === first.message) throw first;
}

function* faultFor(graph: Graph, trial: (typeof trials)[number]): Steps<QARepVGGError | undefined> {
  try {
    yield* specializeSteps(graph, triedDims(graph, trial));
    return undefined;
  } catch (error) {
    if (error instanceof QARepVGGError) return error;
    throw error;
  }
}

function triedDims({ inputs }: Graph, { side, line }: (typeof trials)[number]): InputDims {
  const lengthOf = (dim: Dim, axis: number, rank: number): number =>
    typeof dim === 'number' ? dim : axis === 0 ? 1 : rank < 4 ? line : side;
  return new Map(
    inputs.map(({ name, dims }) => [name, dims.map((dim, axis) => lengthOf(dim, axis, dims.length))] as const),
  );
}
