import type { Graph, GraphNode } from '../graph/graph';
import { isFloat } from './roles';

/** Outputs in float that a node computes. */
export function floatOutputs(graph: Graph): string[] {
  return graph.outputs.filter((name) => isFloat(name, graph) && !graph.tensors.has(name));
}

/**
 * The values that an output is judged by: itself, or, where it follows from comparisons, what is compared. Of scores that are kept
 * where they are the largest around, those that are nearly equal may change places with the least noise, which says nothing.
 */
export function judgedBy(output: string, graph: Graph): readonly string[] {
  const makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const seen = new Set<string>();
  const found = new Set<string>();
  const walk = (name: string): void => {
    const node = makers.get(name);
    if (!node || seen.has(name)) return;
    seen.add(name);
    const compared = comparedBy(node, graph, makers);
    for (const one of compared) found.add(one);
    for (const input of node.inputs) if (!compared.includes(input)) walk(input);
  };
  walk(output);
  // What is compared may follow from comparisons itself.
  const values = [...found].flatMap((name) => judgedBy(name, graph));
  return values.length === 0 ? [output] : [...new Set(values)];
}

/** Numbers that a node makes a choice of: its result is of another type, or has one beside it. */
function comparedBy({ op, inputs, outputs }: GraphNode, graph: Graph, makers: ReadonlyMap<string, unknown>): string[] {
  if (op === 'shape' || op === 'size' || outputs.every((name) => name === '' || isFloat(name, graph))) return [];
  return inputs.filter((name) => isFloat(name, graph) && makers.has(name));
}
