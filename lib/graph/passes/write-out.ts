import type { Graph, GraphNode } from '../graph';
import { opOf } from '../ops';
import { Rewriter } from '../rewriter';

/** Conversions to and from integers, which stay for computeIntegers. */
const conversions = ['quantizeLinear', 'dequantizeLinear'];

/** Expresses operators that the engine does not have by others; each operator says how. Conversions stay. */
export function writeOut(graph: Graph): Graph {
  return writeOutEach(graph, (op) => !conversions.includes(op));
}

/** Same as {@link writeOut}, for the remaining conversions. */
export function writeOutConversions(graph: Graph): Graph {
  return writeOutEach(graph, (op) => conversions.includes(op));
}

function writeOutEach(graph: Graph, isMeant: (op: string) => boolean): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes()) {
    if (!isMeant(node.op)) continue;
    const last: GraphNode | undefined = opOf(node).writeOut?.(rewriter.view(node), rewriter);
    if (last) rewriter.replace(node, last);
  }
  return rewriter.finish();
}
