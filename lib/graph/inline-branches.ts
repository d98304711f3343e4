import { hasBranches, outputsOf } from './branches';
import type { Branch, Graph, GraphNode } from './graph';
import { specialize } from './specialize';

/** Replaces each If by the branch that it takes, if all dims are known. What depends on the dims of a run stays. */
export function inlineBranches(graph: Graph): Graph {
  if (!hasBranches(graph)) return graph;
  const inputs = new Map(graph.inputs.map(({ name, dims }) => [name, dims] as const));
  if (![...inputs.values()].every((dims) => dims.every((dim) => typeof dim === 'number'))) return graph;
  const chosen = new Map<GraphNode, Branch>();
  try {
    specialize(graph, inputs as Map<string, readonly number[]>, chosen);
  } catch {
    // What is wrong with the graph is found in a moment, with everything else.
    if (chosen.size === 0) return graph;
  }
  const inlined = (nodes: readonly GraphNode[]): readonly GraphNode[] =>
    nodes.flatMap((node) => {
      const branch = chosen.get(node);
      return branch ? [...inlined(branch.nodes), ...outputsOf(node, branch)] : [node];
    });
  return { ...graph, nodes: inlined(graph.nodes) };
}
