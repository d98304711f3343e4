import type { Graph, GraphNode } from '../graph';
import { Rewriter } from '../rewriter';
import { numbersOf } from '../tensors';

/** Folds what multiplies and shifts channels behind a convolution into its weights and biases, in double. */
export function affineIntoConv(graph: Graph, where: string): Graph {
  const rewriter = new Rewriter(graph, where);
  for (const node of rewriter.nodes()) {
    if (node.op !== 'affine') continue;
    const before = rewriter.soleMaker(node.inputs[0]);
    if (!before || before.activation) continue;
    if (before.op === 'affine') rewriter.replace(node, composed(before, node));
    else if (before.op === 'conv' || before.op === 'convTranspose') {
      const conv = scaled(before, node, rewriter);
      if (!conv) continue;
      rewriter.replace(node, conv);
    } else continue;
    rewriter.remove(before);
  }
  return rewriter.finish();
}

const listsOf = ({ attributes }: GraphNode) =>
  attributes as unknown as { scale: readonly number[]; shift: readonly number[] };

function composed(first: GraphNode, second: GraphNode): GraphNode {
  const [a, b] = [listsOf(first), listsOf(second)];
  const scale = a.scale.map((value, c) => value * (b.scale[c] as number));
  const shift = a.shift.map((value, c) => value * (b.scale[c] as number) + (b.shift[c] as number));
  return { ...second, inputs: first.inputs, attributes: { ...second.attributes, scale, shift } };
}

function scaled(conv: GraphNode, affine: GraphNode, rewriter: Rewriter): GraphNode | undefined {
  const [input = '', weightName, biasName, addend] = conv.inputs;
  const [weight, bias] = [rewriter.tensor(weightName), rewriter.tensor(biasName)];
  if (!weight || addend || (biasName && !bias)) return undefined;
  const { scale, shift } = listsOf(affine);
  const numbers = numbersOf(weight);
  // Weights of a transposed convolution are [inputs, outputs / group, ...].
  const isTransposed = conv.op === 'convTranspose';
  const depth = weight.dims[isTransposed ? 1 : 0] as number;
  const inner = weight.data.length / (weight.dims[0] as number) / (isTransposed ? depth : 1);
  const perGroup = (weight.dims[0] as number) / (conv.attributes.group as number);
  const channelOf = (i: number): number => {
    const row = Math.floor(i / inner);
    return isTransposed ? Math.floor(row / depth / perGroup) * depth + (row % depth) : row;
  };
  const data = new Float64Array(numbers.length);
  for (let start = 0; start < data.length; start += inner) {
    multiply(numbers, start, start + inner, scale[channelOf(start)] as number, data);
  }
  const biases = bias && numbersOf(bias);
  const sums = Float64Array.from(shift, (value, c) => (biases?.[c] ?? 0) * (scale[c] as number) + value);
  const names = [
    rewriter.addTensor(`${weightName}/scaled`, { type: weight.type, dims: weight.dims, data }),
    rewriter.addTensor(`${biasName || weightName}/shifted`, { type: weight.type, dims: [sums.length], data: sums }),
  ];
  return { ...affine, name: conv.name, op: conv.op, inputs: [input, ...names], attributes: conv.attributes };
}

/** A function of its own, called for each channel: it is compiled after a few of them, and the loop around would be interpreted. */
function multiply(numbers: ArrayLike<number>, start: number, end: number, factor: number, data: Float64Array): void {
  for (let i = start; i < end; i++) data[i] = (numbers[i] as number) * factor;
}
