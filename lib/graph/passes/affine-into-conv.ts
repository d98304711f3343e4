import type { Graph, GraphNode, GraphTensor } from '../graph';
import { Rewriter } from '../rewriter';
import { scaledTensor } from '../scaled-tensor';
import { numbersOf } from '../tensors';

/** Folds an Affine after a convolution into its weights and biases, in double. */
export function affineIntoConv(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes('affine')) {
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
  const [input = '', weightName = '', biasName, addend] = conv.inputs;
  const [weight, bias] = [rewriter.tensor(weightName), rewriter.tensor(biasName)];
  if (!weight || addend || (biasName && !bias)) return undefined;
  const { scale, shift } = listsOf(affine);
  const biases = bias && numbersOf(bias);
  const sums = Float64Array.from(shift, (value, c) => (biases?.[c] ?? 0) * (scale[c] as number) + value);
  const scales = scale.some((factor) => factor !== 1);
  const names = [
    scales
      ? rewriter.addTensor(`${weightName}/scaled`, scaledTensor(weight, factorsOf(conv, weight, scale)))
      : weightName,
    rewriter.addTensor(`${biasName || weightName}/shifted`, { type: weight.type, dims: [sums.length], data: sums }),
  ];
  return { ...affine, name: conv.name, op: conv.op, inputs: [input, ...names], attributes: conv.attributes };
}

/** Of the rows of a convolution's weights, [outputs, ...], or of a transposed one's, [inputs, outputs / group, ...]. */
function factorsOf({ op, attributes }: GraphNode, weight: GraphTensor, scale: readonly number[]): Float64Array {
  if (op === 'conv') return Float64Array.from(scale);
  const [inputs, depth] = weight.dims as [number, number];
  const perGroup = inputs / (attributes.group as number);
  const channelOf = (row: number): number => Math.floor(row / depth / perGroup) * depth + (row % depth);
  return Float64Array.from({ length: inputs * depth }, (_, row) => scale[channelOf(row)] as number);
}
