import type { Activation, Graph, GraphNode } from '../graph';
import { opOf } from '../ops';
import { unaryOps } from '../ops/unary';
import { Rewriter } from '../rewriter';

/** Ops that can apply an activation before they store. */
const storing = [
  'conv',
  'convTranspose',
  'add',
  'sub',
  'mul',
  'div',
  'matMul',
  'gemm',
  'affine',
  'squeezeExcite',
  'normalize',
];

/** Those that do it for whole vectors of channels: of fewer channels than this, a node of its own computes less. */
const storingVectors = ['quantizedConv', 'quantizedConvTranspose'];
const fewChannels = 8;

/** Functions of one number. */
const functions = ['clip', ...Object.keys(unaryOps)];

/** Moves an activation into the op before it, if nothing else reads that op's output. */
export function activationIntoOp(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes(...functions)) {
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
  const [x, ...bounds] = node.inputs;
  const isFloat = rewriter.value(x ?? '')?.type === 'float32' && !node.activation;
  if (!isFloat || bounds.some((name) => name !== '' && !rewriter.tensor(name))) return undefined;
  return opOf(node).lower?.(rewriter.view(node)).attributes as Activation | undefined;
}
