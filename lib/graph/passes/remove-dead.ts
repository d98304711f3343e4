import type { Graph, GraphNode } from '../graph';

/** Removes nodes and tensors that no output depends on. */
export function removeDead(graph: Graph): Graph {
  const needed = new Set([...graph.outputs, ...graph.inputs.map(({ name }) => name)]);
  const nodes: GraphNode[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((name) => needed.has(name))) continue;
    nodes.push(node);
    for (const name of node.inputs) needed.add(name);
  }
  const kept = <T>(map: ReadonlyMap<string, T>): Map<string, T> =>
    new Map([...map].filter(([name]) => needed.has(name)));
  const made = new Set([...needed, ...nodes.flatMap((node) => node.outputs)]);
  nodes.reverse();
  return {
    ...graph,
    nodes,
    tensors: kept(graph.tensors),
    values: new Map([...graph.values].filter(([name]) => made.has(name))),
  };
}
