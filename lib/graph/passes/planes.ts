import { type Graph, type GraphNode, sameDims, type ValueType } from '../graph';
import { nodeOf, Rewriter } from '../rewriter';
import { tensorOf } from '../tensors';
import { removeDead } from './remove-dead';

const sliding = ['conv', 'convTranspose', 'maxPool', 'averagePool', 'globalAveragePool', 'globalMaxPool'];

/** Attributes with an entry for each spatial axis, and the entry of the axis that is added. */
const perAxis = { dilations: 1, kernel_shape: 1, strides: 1, output_padding: 0 } as const;

/** Operators on each element, which follow them. */
const elementwise = [
  ...['add', 'sub', 'mul', 'div', 'batchNormalization', 'prelu'],
  ...[
    'relu',
    'leakyRelu',
    'clip',
    'sigmoid',
    'tanh',
    'hardSigmoid',
    'hardSwish',
    'elu',
    'selu',
    'softplus',
    'mish',
    'erf',
    'gelu',
  ],
];

/**
 * Adds an axis of length 1 to operators with one spatial axis, because the engine only knows maps, which have two. Operators
 * on each element of their results get it, too, so that they can become one with them.
 */
export function linesAsPlanes(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes(...sliding, ...elementwise)) {
    if (rewriter.dims(node.outputs[0]).length !== 3) continue;
    if (sliding.includes(node.op)) widen(node, rewriter);
    else if (node.inputs.some((name) => isPlane(name, rewriter))) widenElementwise(node, rewriter);
  }
  const result = rewriter.finish();
  return result === graph ? graph : removeDead(result);
}

/** Whether a value is a plane whose added axis was removed. */
function isPlane(name: string, rewriter: Rewriter): boolean {
  const maker = rewriter.maker(name);
  const [source = ''] = maker?.inputs ?? [];
  return (
    maker?.op === 'reshape' && !maker.activation && sameDims(rewriter.dims(source), widened(rewriter.value(name)).dims)
  );
}

function widenElementwise(node: GraphNode, rewriter: Rewriter): void {
  // A constant of at most one axis, such as the numbers of a batch norm, is broadcast as before.
  const stays = (name: string): boolean => name === '' || rewriter.dims(name).length < 2;
  if (!node.inputs.every((name) => stays(name) || rewriter.tensor(name) || rewriter.dims(name).length === 3)) return;
  const inputs = node.inputs.map((name) => (stays(name) ? name : reshaped(name, node, rewriter)));
  replaceBy({ ...node, inputs }, node, rewriter);
}

function widen(node: GraphNode, rewriter: Rewriter): void {
  const [x = '', weight = '', ...others] = node.inputs;
  const inputs = [reshaped(x, node, rewriter), ...(weight ? [reshaped(weight, node, rewriter)] : []), ...others];
  const attributes = { ...node.attributes };
  for (const [name, fill] of Object.entries(perAxis)) {
    const list = attributes[name] as readonly number[] | undefined;
    if (list) attributes[name] = [fill, ...list];
  }
  const { pads, output_shape: shape } = attributes as Record<string, readonly number[] | undefined>;
  if (pads) attributes.pads = [0, pads[0] as number, 0, pads[1] as number];
  if (shape) attributes.output_shape = [1, ...shape.slice(-1)];
  replaceBy({ ...node, inputs, attributes }, node, rewriter);
}

/** Replaces a node by one of planes, whose result loses the added axis. */
function replaceBy({ name: _, outputs: __, ...plain }: GraphNode, node: GraphNode, rewriter: Rewriter): void {
  const result = rewriter.value(node.outputs[0] as string);
  const plane = rewriter.insert(node, `${node.name}/plane`, plain, widened(result));
  const dims = rewriter.addTensor(`${node.name}/dims`, tensorOf('int64', [3], result.dims));
  rewriter.replace(node, nodeOf(node, 'reshape', [plane, dims], { allowzero: 1 }));
}

/** [n, c, length] as [n, c, 1, length] */
function reshaped(name: string, node: GraphNode, rewriter: Rewriter): string {
  if (isPlane(name, rewriter)) return rewriter.maker(name)?.inputs[0] as string;
  const value = widened(rewriter.value(name));
  const made = rewriter
    .readers(name)
    .find(({ op, outputs: [y] }) => op === 'reshape' && y === planeOf(name) && sameDims(rewriter.dims(y), value.dims));
  if (made) return made.outputs[0] as string;
  const tensor = rewriter.tensor(name);
  if (tensor) return rewriter.addTensor(`${name}/plane`, { ...tensor, dims: value.dims });
  const rounded = widenedIntegers(name, node, rewriter);
  if (rounded) return rounded;
  const dims = rewriter.addTensor(`${name}/dims`, tensorOf('int64', [4], value.dims));
  return rewriter.insert(
    node,
    planeOf(name),
    nodeOf({ name: '', outputs: [] }, 'reshape', [name, dims], { allowzero: 1 }),
    value,
  );
}

/** A constant of integers stays one in front of its DequantizeLinear. */
function widenedIntegers(name: string, node: GraphNode, rewriter: Rewriter): string | undefined {
  const maker = rewriter.maker(name);
  const integers = maker?.op === 'dequantizeLinear' ? rewriter.tensor(maker.inputs[0]) : undefined;
  if (!maker || !integers) return undefined;
  const { dims } = widened(integers);
  const axis = maker.attributes.axis as number;
  // Of three axes, the last one becomes the fourth. Those that count from the end keep their number, but for the others.
  const places: Readonly<Record<number, number>> = { 2: 3, [-2]: -3, [-3]: -4 };
  const inputs = [rewriter.addTensor(`${name}/integers`, { ...integers, dims }), ...maker.inputs.slice(1)];
  return rewriter.compute(node, 'dequantizeLinear', inputs, { ...maker.attributes, axis: places[axis] ?? axis });
}

const planeOf = (name: string): string => `${name}/plane`;

function widened({ type, dims }: ValueType<number>): ValueType<number> {
  return { type, dims: [...dims.slice(0, -1), 1, ...dims.slice(-1)] };
}
