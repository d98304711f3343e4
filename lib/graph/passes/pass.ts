import type { Steps } from '../../slices';
import type { Graph } from '../graph';

export type Pass = (graph: Graph) => Graph;

/** Runs passes one after the other. */
export function* runPasses(passes: readonly Pass[], graph: Graph): Steps<Graph> {
  let result = graph;
  for (const pass of passes) {
    yield;
    result = pass(result);
  }
  return result;
}
