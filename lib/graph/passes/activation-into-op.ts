import type { Activation, Graph, GraphNode } from '../graph';
import { clipBounds } from '../ops/clip';
import { Rewriter } from '../rewriter';

/** Ops that can apply an activation before they store. */
const storing = [
  ...['conv', 'convTranspose', 'quantizedConv', 'quantizedConvTranspose', 'matMul', 'gemm'],
  ...['add', 'sub', 'mul', 'div', 'affine', 'squeezeExcite'],
];

/** Moves an activation into the op before it, if nothing else reads that op's output. */
export function activationIntoOp(graph: Graph, where: string): Graph {
  const rewriter = new Rewriter(graph, where);
  for (const node of rewriter.nodes()) {
    const activation = activationOf(node, rewriter);
    const maker = activation && rewriter.soleMaker(node.inputs[0]);
    if (!activation || !maker || maker.activation || !storing.includes(maker.op)) continue;
    rewriter.remove(maker);
    rewriter.replace(node, { ...maker, outputs: node.outputs, activation });
  }
  return rewriter.finish();
}

function activationOf(node: GraphNode, rewriter: Rewriter): Activation | undefined {
  if (node.activation || rewriter.value(node.inputs[0] ?? '')?.type !== 'float32') return undefined;
  const { alpha, beta } = node.attributes as { alpha: number; beta: number };
  switch (node.op) {
    case 'relu':
    case 'silu':
    case 'sigmoid':
    case 'hardSwish':
    case 'tanh':
      return { kind: node.op };
    case 'hardSigmoid':
      return { kind: 'hardSigmoid', alpha, beta };
    case 'leakyRelu':
      return { kind: 'leakyRelu', alpha };
    case 'clip':
      return node.inputs.slice(1).every((name) => name === '' || rewriter.tensor(name))
        ? { kind: 'clip', ...clipBounds(rewriter.view(node)) }
        : undefined;
    default:
      return undefined;
  }
}
