import type { Graph, GraphTensor } from '../graph';
import { Rewriter } from '../rewriter';

/** Removes nodes and tensors that no output depends on. The values of these nodes stay in the map. */
export function removeDead(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((name) => rewriter.isRead(name))) rewriter.remove(node);
  }
  const tensors = new Map<string, GraphTensor>();
  graph.tensors.forEach((tensor, name) => {
    if (rewriter.isRead(name)) tensors.set(name, tensor);
  });
  return { ...rewriter.finish(), tensors };
}
