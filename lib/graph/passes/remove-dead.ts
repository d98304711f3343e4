import type { Graph } from '../graph';
import { Rewriter } from '../rewriter';

/** Removes nodes and tensors that no output depends on. */
export function removeDead(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((name) => rewriter.isRead(name))) rewriter.remove(node);
  }
  const { nodes } = rewriter.finish();
  const read = new Set([...graph.outputs, ...nodes.flatMap(({ inputs }) => inputs)]);
  const known = new Set([...read, ...graph.inputs.map(({ name }) => name), ...nodes.flatMap(({ outputs }) => outputs)]);
  return { ...graph, nodes, tensors: picked(graph.tensors, read), values: picked(graph.values, known) };
}

function picked<T>(map: ReadonlyMap<string, T>, names: ReadonlySet<string>): Map<string, T> {
  return new Map([...map].filter(([name]) => names.has(name)));
}
