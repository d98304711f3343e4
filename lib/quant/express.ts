import type { Graph, GraphNode } from '../graph/graph';
import { nodeOf, Rewriter } from '../graph/rewriter';

/** Expresses operators that opset 13 does not have by those that it has: SiLU and hard swish as a product with a gate. */
export function expressActivations(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes()) {
    const gate = gateOf(node);
    if (!gate) continue;
    const [x = ''] = node.inputs;
    const factor = rewriter.insert(node, `${node.name}/gate`, gate, rewriter.value(x));
    rewriter.replace(node, nodeOf(node, 'mul', [x, factor]));
  }
  return rewriter.finish();
}

function gateOf({ op, inputs }: GraphNode): GraphNode | undefined {
  const like = { name: '', outputs: [] };
  if (op === 'silu') return nodeOf(like, 'sigmoid', inputs);
  return op === 'hardSwish' ? nodeOf(like, 'hardSigmoid', inputs, { alpha: 1 / 6, beta: 0.5 }) : undefined;
}
