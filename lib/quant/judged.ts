import type { Graph, GraphNode } from '../graph/graph';
import { isFloat } from './roles';

/** Outputs of the graph that are floats and that a node computes. */
export function floatOutputs(graph: Graph): string[] {
  return graph.outputs.filter((name) => isFloat(name, graph) && !graph.tensors.has(name));
}

/**
 * The values by which an output is judged: itself, or, if it depends on comparisons, the compared values. For example, if a graph
 * keeps the largest score of each neighbourhood, the least noise may swap scores that are nearly equal. That would look like much
 * noise and mean nothing.
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
  // The compared values may depend on comparisons themselves.
  const values = [...found].flatMap((name) => judgedBy(name, graph));
  return values.length === 0 ? [output] : [...new Set(values)];
}

/** Inputs that a node compares: it has an output of another type, such as a position or a bool. */
function comparedBy({ op, inputs, outputs }: GraphNode, graph: Graph, makers: ReadonlyMap<string, unknown>): string[] {
  if (op === 'shape' || op === 'size' || outputs.every((name) => name === '' || isFloat(name, graph))) return [];
  return inputs.filter((name) => isFloat(name, graph) && makers.has(name));
}
