import { type Graph, type GraphNode, sameDims, sizeOf } from '../graph';
import { nodeOf, Rewriter } from '../rewriter';
import { listOf } from '../tensors';

const operators = ['add', 'mul', 'sub', 'div'];

/** Writes batch norms, and Add, Sub, Mul and Div of images with a constant for each channel or for all, as Affine. */
export function findAffine(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes('batchNormalization', ...operators)) {
    const found = node.op === 'batchNormalization' ? batchNorm(node, rewriter) : arithmetic(node, rewriter);
    if (!found || rewriter.value(found.input).type !== 'float32') continue;
    const { input, scale, shift } = found;
    const made = nodeOf({ name: node.name, outputs: node.outputs.slice(0, 1) }, 'affine', [input], { scale, shift });
    rewriter.replace(node, node.activation ? { ...made, activation: node.activation } : made);
  }
  return rewriter.finish();
}

interface Affine {
  readonly input: string;
  readonly scale: readonly number[];
  readonly shift: readonly number[];
}

function batchNorm(node: GraphNode, rewriter: Rewriter): Affine | undefined {
  const [input = '', ...names] = node.inputs;
  const tensors = names.map((name) => rewriter.tensor(name));
  const [gamma, beta, mean, variance] = tensors.map((tensor) => (tensor ? listOf(tensor) : undefined));
  if (
    !gamma ||
    !beta ||
    !mean ||
    !variance ||
    node.outputs.slice(1).some((name) => rewriter.readers(name).length > 0)
  ) {
    return undefined;
  }
  const eps = node.attributes.epsilon as number;
  const scale = gamma.map((value, c) => value / Math.sqrt((variance[c] as number) + eps));
  return { input, scale, shift: beta.map((value, c) => value - (mean[c] as number) * (scale[c] as number)) };
}

function arithmetic(node: GraphNode, rewriter: Rewriter): Affine | undefined {
  const [a = '', b = ''] = node.inputs;
  const right = channelNumbers(b, a, node, rewriter);
  const left = right ? undefined : channelNumbers(a, b, node, rewriter);
  const zeros = (right ?? left ?? []).map(() => 0);
  const ones = zeros.map(() => 1);
  const negated = (list: readonly number[]): number[] => list.map((value) => -value);
  switch (node.op) {
    case 'add':
      return right ? { input: a, scale: ones, shift: right } : left && { input: b, scale: ones, shift: left };
    case 'mul':
      return right ? { input: a, scale: right, shift: zeros } : left && { input: b, scale: left, shift: zeros };
    case 'sub':
      return right
        ? { input: a, scale: ones, shift: negated(right) }
        : left && { input: b, scale: negated(ones), shift: left };
    case 'div':
      return right && { input: a, scale: right.map((value) => 1 / value), shift: zeros };
    default:
      return undefined;
  }
}

/**
 * A constant as numbers for each channel of images, which have the result's dims; nothing if it is none. Only convolutions take
 * more than one node of arithmetic, and axis 1 of other values can be long: the boxes of a detector.
 */
function channelNumbers(name: string, other: string, node: GraphNode, rewriter: Rewriter): number[] | undefined {
  const tensor = rewriter.tensor(name);
  const dims = rewriter.dims(other);
  if (!tensor || rewriter.tensor(other) || dims.length !== 4 || !sameDims(rewriter.dims(node.outputs[0]), dims))
    return undefined;
  const channels = dims[1] as number;
  if (sizeOf(tensor.dims) === 1) return Array(channels).fill(listOf(tensor)[0]);
  const axis = tensor.dims.length - dims.length + 1;
  return tensor.dims[axis] === channels && sizeOf(tensor.dims) === channels ? listOf(tensor) : undefined;
}

/** Writes each Affine that no convolution has absorbed as Mul and Add. */
export function writeAffine(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes('affine')) {
    const { scale, shift } = node.attributes as unknown as Affine;
    const value = rewriter.value(node.outputs[0] as string);
    const constant = (list: readonly number[], hint: string): string => {
      const isOne = list.every((number) => Object.is(number, list[0]));
      const dims = isOne ? [1] : [list.length, ...value.dims.slice(2).map(() => 1)];
      const data = isOne ? Float64Array.of(list[0] as number) : Float64Array.from(list);
      return rewriter.addTensor(`${node.name}/${hint}`, { type: 'float32', dims, data });
    };
    const scales = scale.some((number) => number !== 1);
    const shifts = !scales || shift.some((number) => number !== 0);
    const [input = ''] = node.inputs;
    const product = !scales
      ? input
      : !shifts
        ? undefined
        : rewriter.insert(node, `${node.name}/product`, nodeOf(node, 'mul', [input, constant(scale, 'scale')]), value);
    const last =
      product === undefined
        ? nodeOf(node, 'mul', [input, constant(scale, 'scale')])
        : nodeOf(node, 'add', [product, constant(shift, 'shift')]);
    rewriter.replace(node, node.activation ? { ...last, activation: node.activation } : last);
  }
  return rewriter.finish();
}
