import type { Graph, GraphNode } from '../graph';
import { opOf } from '../ops';
import { Rewriter } from '../rewriter';

/** Conversions from and to integers, of which the pass of integers makes something better. */
const conversions = ['quantizeLinear', 'dequantizeLinear'];

/** Writes operators that the engine does not have in terms of others, as they say themselves. Conversions stay. */
export function writeOut(graph: Graph, where: string): Graph {
  return writeOutEach(graph, (op) => !conversions.includes(op), where);
}

/** As {@link writeOut}, of conversions that are left. */
export function writeOutConversions(graph: Graph, where: string): Graph {
  return writeOutEach(graph, (op) => conversions.includes(op), where);
}

function writeOutEach(graph: Graph, isMeant: (op: string) => boolean, where: string): Graph {
  const rewriter = new Rewriter(graph, where);
  for (const node of rewriter.nodes()) {
    if (!isMeant(node.op)) continue;
    const last: GraphNode | undefined = opOf(node).writeOut?.(rewriter.view(node), rewriter);
    if (last) rewriter.replace(node, last);
  }
  return rewriter.finish();
}
