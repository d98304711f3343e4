import { type GraphNode, sameDims, sizeOf } from '../../graph';
import { nodeOf } from '../../rewriter';
import { tensorOf } from '../../tensors';
import type { Integers, Rounding } from './context';
import { type Bytes, named, type Scale } from './parameters';
import { hasIntegerWeights, type IntegerWeights, integerWeights, type WeightLayout } from './weights';

/** A convolution, or a product with constants, as the engine takes it. */
interface IntegerProduct {
  readonly op: 'quantizedConv' | 'quantizedConvTranspose';
  readonly x: Bytes;
  readonly weights: IntegerWeights;
  readonly attributes: GraphNode['attributes'];
  /** Dims of its output as a map. */
  readonly dims: readonly number[];
}

/** Computes sums of products in integers and rounds them. */
export const product: Rounding = (node, to, at, integers) => {
  const found = productOf(node, integers);
  if (!found?.weights.scale.data.every((scale) => fits(found.x, scale as number, to))) return undefined;
  const name = integers.add(
    at,
    node.name,
    found.op,
    operandsOf(found, node, integers),
    attributesOf(found, to),
    found.dims,
  );
  return { name, scale: to.scale, zeroPoint: to.zeroPoint };
};

/** Computes sums of products in integers and outputs floats. @returns whether the node is one; if so, it has been replaced. */
export function productInFloats(node: GraphNode, integers: Integers): boolean {
  const found = node.op in layouts && !node.activation ? productOf(node, integers) : undefined;
  if (!found) return false;
  const { rewriter } = integers;
  const dims = rewriter.dims(node.outputs[0]);
  const made = { op: found.op, inputs: operandsOf(found, node, integers), attributes: attributesOf(found) };
  if (sameDims(dims, found.dims)) rewriter.replace(node, { ...made, name: node.name, outputs: node.outputs });
  else {
    const map = integers.add(node, `${node.name}/map`, made.op, made.inputs, made.attributes, found.dims, 'float32');
    const shape = rewriter.addTensor(`${node.name}/dims`, tensorOf('int64', [dims.length], dims));
    rewriter.replace(node, nodeOf(node, 'reshape', [map, shape], { allowzero: 1 }));
  }
  for (const name of new Set(node.inputs)) if (name !== '') integers.removeUnread(name);
  return true;
}

/** For each operator, the engine's form with the layout of its weights; nothing if no kernel computes it. */
const layouts: Readonly<
  Record<string, (node: GraphNode, integers: Integers) => (WeightLayout & Partial<IntegerProduct>) | undefined>
> = {
  conv(node, { rewriter }) {
    const dims = rewriter.dims(node.inputs[1]);
    if (dims.length !== 4 || node.inputs[3]) return undefined;
    const each = sizeOf(dims.slice(1));
    return { ...byRows(dims, each), op: 'quantizedConv', attributes: node.attributes };
  },
  convTranspose(node, { rewriter }) {
    const dims = rewriter.dims(node.inputs[1]);
    if (dims.length !== 4) return undefined;
    const [inputs, perGroup] = dims as [number, number];
    const group = node.attributes.group as number;
    const taps = sizeOf(dims.slice(2));
    const outputOf = (i: number): number => {
      const row = Math.floor(i / taps);
      return Math.floor(row / perGroup / (inputs / group)) * perGroup + (row % perGroup);
    };
    const layout = { dims, outputs: perGroup * group, axis: 1, outputOf };
    return { ...layout, op: 'quantizedConvTranspose', attributes: node.attributes };
  },
  gemm(node, { rewriter }) {
    const { transA, transB, alpha, beta } = node.attributes;
    const [rows, columns] = rewriter.dims(node.inputs[1]) as [number, number];
    if (transA || alpha !== 1 || (beta !== 1 && node.inputs[2])) return undefined;
    return transB ? ofRows(columns, rows) : ofColumns(rows, columns);
  },
  matMul(node, { rewriter }) {
    const [a, b] = [rewriter.dims(node.inputs[0]), rewriter.dims(node.inputs[1])];
    return a.length >= 2 && b.length === 2 ? ofColumns(b[0] as number, b[1] as number) : undefined;
  },
};

/** A product with the same matrix for all images is a convolution of one pixel. */
const pixel: Partial<IntegerProduct> = {
  op: 'quantizedConv',
  attributes: nodeOf({ name: '', outputs: [] }, 'conv', [], { kernel_shape: [1, 1] }).attributes,
};

function ofRows(depth: number, outputs: number): WeightLayout & Partial<IntegerProduct> {
  return { ...byRows([outputs, depth, 1, 1], depth), ...pixel };
}

function ofColumns(depth: number, outputs: number): WeightLayout & Partial<IntegerProduct> {
  const outputOf = (i: number): number => i % outputs;
  const place = (i: number): number => (i % outputs) * depth + Math.floor(i / outputs);
  return { dims: [outputs, depth, 1, 1], outputs, axis: 1, outputOf, place, ...pixel };
}

function byRows(dims: readonly number[], each: number): WeightLayout {
  return { dims, outputs: dims[0] as number, axis: 0, outputOf: (i) => Math.floor(i / each) };
}

function productOf(node: GraphNode, integers: Integers): IntegerProduct | undefined {
  const { rewriter } = integers;
  const layout = hasIntegerWeights(node, rewriter) ? layouts[node.op]?.(node, integers) : undefined;
  if (!layout) return undefined;
  const [input = ''] = node.inputs;
  const dims = rewriter.dims(node.outputs[0]);
  // All rows of a product count as images.
  const asRows = (whole: readonly number[]): readonly number[] => [
    sizeOf(whole.slice(0, -1)),
    whole.at(-1) as number,
    1,
    1,
  ];
  const isRows = layout.op === 'quantizedConv' && node.op !== 'conv';
  const x = isRows ? integers.readAs(input, asRows(rewriter.dims(input)), node) : integers.read(input);
  const weights = x && integerWeights(node, layout, x, rewriter);
  if (!weights) return undefined;
  const { op, attributes } = layout as typeof layout & IntegerProduct;
  return { op, x, weights, attributes, dims: isRows ? asRows(dims) : dims };
}

function operandsOf({ x, weights }: IntegerProduct, { name }: GraphNode, { rewriter }: Integers): readonly string[] {
  const { weight, bias, scale } = weights;
  const tensors = Object.entries({ weight, bias, scale }).map(([key, tensor]) =>
    rewriter.addTensor(`${name}/${key}`, tensor),
  );
  return [x.name, ...tensors];
}

function attributesOf({ attributes, x }: IntegerProduct, to?: Scale): GraphNode['attributes'] {
  return { ...attributes, ...named('input', x), ...(to && named('output', to)) };
}

function fits(x: Scale, weightScale: number, to: Scale): boolean {
  return Number.isFinite(Math.fround(Math.fround(x.scale * weightScale) / to.scale));
}
