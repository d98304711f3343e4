import { type Graph, type GraphNode, type GraphTensor, sameDims, type ValueType } from './graph';
import { opOf } from './ops';
import type { Lowered, OpNode } from './ops/op';
import { sliceOf } from './ops/slice';
import { nodeView } from './specialize';

/**
 * Whether each image of a batch is computed independently: axis 0 of every value is the image, and no node mixes two images.
 * Compares what the graph becomes for one image and for two.
 */
export function isIndependent(one: Graph, two: Graph): boolean {
  const areAlike = one.nodes.length === two.nodes.length && one.inputs.every(({ name }) => isBatched(name, one, two));
  const constants = constantValues(one);
  const computed = one.nodes.filter(({ outputs }) => !outputs.every((name) => constants.has(name)));
  const computes = new Set([...one.inputs.map(({ name }) => name), ...computed.flatMap(({ outputs }) => outputs)]);
  return (
    areAlike &&
    one.outputs.every((name) => computes.has(name)) &&
    one.nodes.every((node, i) => node.name === two.nodes[i]?.name) &&
    computed.every((node) => keepsImages(node, one, two, constants))
  );
}

/** Tensors, and values computed from tensors alone, such as weights in integers. The latter are not evaluated here. */
function constantValues({ nodes, tensors, values }: Graph): ReadonlyMap<string, GraphTensor> {
  const constants = new Map(tensors);
  for (const { inputs, outputs } of nodes) {
    const isConstant = inputs.length > 0 && inputs.every((name) => name === '' || constants.has(name));
    if (!isConstant) continue;
    for (const name of outputs) constants.set(name, { ...(values.get(name) as ValueType<number>), data: noNumbers });
  }
  return constants;
}

const noNumbers = new Float32Array();

/** Whether the dims of a value differ only in axis 0: 1 in the one graph, 2 in the other. */
function isBatched(name: string, one: Graph, two: Graph): boolean {
  const [a, b] = [one, two].map(({ values }) => values.get(name)?.dims ?? []) as [number[], number[]];
  return a[0] === 1 && b[0] === 2 && sameDims(a.slice(1), b.slice(1));
}

function keepsImages(node: GraphNode, one: Graph, two: Graph, constants: ReadonlyMap<string, GraphTensor>): boolean {
  const isConstant = (name: string): boolean => constants.has(name);
  if (!node.outputs.every((name) => isBatched(name, one, two))) return false;
  const view = nodeView(node, one.values, constants);
  const rule = rules[node.op];
  if (rule) return rule(view, isConstant);
  const lowered = opOf(node).lower?.(view);
  if (!lowered) return false;
  const read = (lowered.inputs ?? node.inputs.map((_, i) => i)).map((i) => node.inputs[i] as string);
  const data = read.filter((name) => name !== '' && !isConstant(name));
  if (!data.every((name) => isBatched(name, one, two))) return false;
  return (
    axisRules[lowered.op]?.(
      lowered,
      view,
      read.filter((name) => name !== '' && isConstant(name)),
      one,
      two,
    ) ?? false
  );
}

/** Rules for operators that passes replace by others later. */
const rules: Readonly<Record<string, (node: OpNode, isConstant: (name: string) => boolean) => boolean>> = {
  batchNormalization: () => true,
  quantizeLinear: ({ node }, isConstant) => node.inputs.slice(1).every((name) => name === '' || isConstant(name)),
  dequantizeLinear: ({ node }, isConstant) => node.inputs.slice(1).every((name) => name === '' || isConstant(name)),
  gemm: ({ node, attributes, inputs }, isConstant) =>
    !attributes.transA &&
    isConstant(node.inputs[1] as string) &&
    (!inputs[2]?.tensor || inputs[2].dims.length < 2 || inputs[2].dims[0] === 1),
};

type AxisRule = (lowered: Lowered, node: OpNode, constants: readonly string[], one: Graph, two: Graph) => boolean;

const always: AxisRule = () => true;
const otherAxis: AxisRule = ({ attributes }, _, constants) => attributes?.axis !== 0 && constants.length === 0;

/** Axis 0 is unchanged: its entry in the list is the neutral one. */
const first =
  (name: string, value: number): AxisRule =>
  ({ attributes = {} }) =>
    (attributes[name] as readonly number[])[0] === value;

/** A constant must be the same for all images: it has no axis 0, or one of length 1. */
const broadcast: AxisRule = (_, node, constants, one, two) => {
  const rank = one.values.get(node.node.outputs[0] as string)?.dims.length;
  const dimsIn = (graph: Graph, name: string) => (graph.values.get(name) as ValueType<number>).dims;
  return node.node.inputs.every((name) => {
    const dims = dimsIn(one, name);
    if (!constants.includes(name)) return dims.length === rank;
    return sameDims(dims, dimsIn(two, name)) && (dims.length < (rank ?? 0) || dims[0] === 1);
  });
};

/** The slice takes all images, however many: a slice of the first two would pass for one image and for two, but not for three. */
function takesAll(node: OpNode): boolean {
  const [x, ...rest] = node.inputs;
  if (!x) return false;
  const images = 2 ** 31;
  const { starts, sizes, steps } = sliceOf({
    ...node,
    inputs: [{ ...x, dims: [images, ...x.dims.slice(1)] }, ...rest],
  });
  return starts[0] === 0 && sizes[0] === images && steps[0] === 1;
}

/** Rules by the name of the native op. */
const axisRules: Readonly<Record<string, AxisRule>> = {
  conv: always,
  convTranspose: always,
  maxPool: always,
  averagePool: always,
  globalPool: always,
  depthToSpace: always,
  spaceToDepth: always,
  unary: always,
  cast: always,
  // Elements stay in order, and axis 0 is unchanged.
  reshape: always,
  expand: (_, node, __, one) =>
    node.inputs[0]?.dims.length === one.values.get(node.node.outputs[0] as string)?.dims.length,
  binary: broadcast,
  where: broadcast,
  concat: otherAxis,
  split: otherAxis,
  softmax: otherAxis,
  argMax: otherAxis,
  topK: otherAxis,
  cumSum: otherAxis,
  gather: ({ attributes }, { inputs }) =>
    attributes?.axis !== 0 && inputs[0]?.tensor === undefined && inputs[1]?.tensor !== undefined,
  transpose: first('perm', 0),
  tile: first('repeats', 1),
  resize: first('scales', 1),
  pad: (...all) => first('before', 0)(...all) && first('after', 0)(...all),
  slice: (_, node) => takesAll(node),
  reduce: ({ attributes = {} }) => !(attributes.axes as readonly number[]).includes(0),
  matMul: (_, { inputs: [a, b] }) =>
    a?.tensor === undefined &&
    (b?.tensor
      ? b.dims.length <= 2 || b.dims[0] === 1
      : a?.dims.length === b?.dims.length && (a?.dims.length ?? 0) > 2),
};
