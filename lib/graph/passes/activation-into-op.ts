import type { Activation, Graph, GraphNode } from '../graph';
import { clipBounds } from '../ops/clip';
import { Rewriter } from '../rewriter';

/** Ops that can apply an activation before they store. */
const storing = ['conv', 'convTranspose', 'add', 'sub', 'mul', 'div', 'matMul', 'gemm', 'affine', 'squeezeExcite'];

/** Those that do it for whole vectors of channels: of fewer channels than this, a node of its own computes less. */
const storingVectors = ['quantizedConv', 'quantizedConvTranspose'];
const fewChannels = 8;

/** Moves an activation into the op before it, if nothing else reads that op's output. */
export function activationIntoOp(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes()) {
    const activation = activationOf(node, rewriter);
    const maker = activation && rewriter.soleMaker(node.inputs[0]);
    if (!activation || !maker || maker.activation || !stores(maker, activation, rewriter)) continue;
    rewriter.remove(maker);
    rewriter.replace(node, { ...maker, outputs: node.outputs, activation });
  }
  return rewriter.finish();
}

function stores({ op, outputs }: GraphNode, { kind }: Activation, rewriter: Rewriter): boolean {
  if (!storingVectors.includes(op)) return storing.includes(op);
  const channels = rewriter.value(outputs[0] as string)?.dims[1];
  return kind === 'relu' || (channels !== undefined && channels >= fewChannels);
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
