import type { Steps } from '../../slices';
import type { Graph } from '../graph';

export type Pass = (graph: Graph, where: string) => Graph;

/** Runs passes one after the other. */
export function* runPasses(passes: readonly Pass[], graph: Graph, where: string): Steps<Graph> {
  let result = graph;
  for (const pass of passes) {
    yield;
    result = pass(result, where);
  }
  return result;
}
