import { type Graph, type GraphNode, sameDims } from '../graph';
import { Rewriter } from '../rewriter';

/** Moves a sum into the convolution that makes one of its operands: the convolution adds the other operand before it stores. */
export function residualIntoConv(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const sum of rewriter.nodes('add')) {
    const [a, b] = sum.inputs;
    if (a === b) continue;
    const dims = rewriter.dims(sum.outputs[0]);
    if (!sum.inputs.every((name) => sameDims(rewriter.dims(name), dims) && !rewriter.tensor(name))) continue;
    // The second operand first: its convolution usually comes last, and the sum's own activation may move into it.
    const conv = [b, a].map((name) => rewriter.soleMaker(name)).find((node) => node && takesAddend(node));
    if (!conv) continue;
    const [x = '', weight = '', bias = ''] = conv.inputs;
    const addend = conv.outputs[0] === a ? b : a;
    rewriter.remove(conv);
    const { activation: _, ...plain } = conv;
    const inputs = [x, weight, bias, addend as string];
    rewriter.replace(sum, {
      ...plain,
      inputs,
      outputs: sum.outputs,
      ...(sum.activation && { activation: sum.activation }),
    });
  }
  return rewriter.finish();
}

function takesAddend(node: GraphNode): boolean {
  return node.op === 'conv' && !node.activation && node.inputs.length < 4;
}
