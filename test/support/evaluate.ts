import { within } from '../../lib/errors';
import type { Activation, Graph, GraphNode, GraphTensor } from '../../lib/graph/graph';
import { sizeOf } from '../../lib/graph/graph';
import { opOf, ops } from '../../lib/graph/ops';
import type { Op, OpNode } from '../../lib/graph/ops/op';
import { padsOf } from '../../lib/graph/ops/pad';
import { slide, windowOf } from '../../lib/graph/ops/window';
import { nodeView } from '../../lib/graph/specialize';
import { numbersOf } from '../../lib/graph/tensors';

/** A graph computed by the obvious loops, in double between the nodes: what passes must not change. */
export function evaluate(graph: Graph, feeds: Readonly<Record<string, readonly number[]>>): Record<string, number[]> {
  const tensors = new Map(graph.tensors);
  for (const { name, type } of graph.inputs) {
    const dims = graph.values.get(name)?.dims as number[];
    tensors.set(name, { type, dims, data: Float64Array.from(feeds[name] as number[]) });
  }
  for (const node of graph.nodes) {
    const view = within('evaluate', () => nodeView(node, graph.values, tensors));
    const results = (own[node.op] ?? opOf(node).evaluate ?? missing(node))(view);
    results.forEach((result, i) => {
      const name = node.outputs[i] as string;
      const data = node.activation ? activate(result, node.activation) : result.data;
      tensors.set(name, { ...result, dims: graph.values.get(name)?.dims as number[], data });
    });
  }
  return Object.fromEntries(
    graph.outputs.map((name) => [name, Array.from(numbersOf(tensors.get(name) as GraphTensor))]),
  );
}

function missing({ op }: GraphNode): never {
  throw new Error(`no evaluation of ${op}`);
}

const own: Readonly<Record<string, (node: OpNode) => GraphTensor[]>> = {
  conv,
  averagePool: (node) =>
    pool(
      node,
      (values, taps) => values.reduce((a, b) => a + b, 0) / (node.attributes.count_include_pad ? taps : values.length),
    ),
  maxPool: (node) => pool(node, (values) => Math.max(...values)),
  globalAveragePool(node) {
    const { dims, data } = constant(node, 0);
    const area = sizeOf(dims.slice(2));
    const planes = Float64Array.from(
      { length: data.length / area },
      (_, i) => data.slice(i * area, (i + 1) * area).reduce((a, b) => a + b, 0) / area,
    );
    return [floats(planes)];
  },
  dropout: (node) => [floats(constant(node, 0).data)],
  pad(node) {
    const { dims, data } = constant(node, 0);
    const { begins, ends } = padsOf(node);
    const to = dims.map((dim, axis) => dim + (begins[axis] as number) + (ends[axis] as number));
    const result = Float64Array.from({ length: sizeOf(to) }, (_, i) => {
      let [rest, at, inside] = [i, 0, true];
      for (const [axis, dim] of dims.entries()) {
        const stride = sizeOf(to.slice(axis + 1));
        const index = Math.floor(rest / stride) - (begins[axis] as number);
        rest %= stride;
        inside &&= index >= 0 && index < dim;
        at = at * dim + index;
      }
      return inside ? (data[at] as number) : 0;
    });
    return [floats(result)];
  },
  batchNormalization(node) {
    const { dims, data } = constant(node, 0);
    const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((i) => constant(node, i).data) as [
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    const at = (list: Float64Array, i: number): number =>
      list[Math.floor(i / sizeOf(dims.slice(2))) % (dims[1] as number)] as number;
    const eps = node.attributes.epsilon as number;
    return [
      floats(data.map((x, i) => ((x - at(mean, i)) / Math.sqrt(at(variance, i) + eps)) * at(gamma, i) + at(beta, i))),
    ];
  },
  layerNormalization: (node) => normalized(node, node.attributes.axis as number, false),
  instanceNormalization: (node) => normalized(node, 2, true),
  normalize: (node) => normalized(node, node.attributes.axis as number, node.attributes.channels === 1),
  affine(node) {
    const { dims, data } = constant(node, 0);
    const { scale, shift } = node.attributes as { scale: number[]; shift: number[] };
    const channel = (i: number): number => Math.floor(i / sizeOf(dims.slice(2))) % (dims[1] as number);
    return [floats(data.map((x, i) => x * (scale[channel(i)] as number) + (shift[channel(i)] as number)))];
  },
  matMul: (node) => [product(constant(node, 0), constant(node, 1))],
  matMulTransposed: (node) => [product(constant(node, 0), transposed(constant(node, 1)))],
  gemm(node) {
    const { transA, transB, alpha, beta } = node.attributes as Record<string, number>;
    const turn = (tensor: Doubles, turned: number | undefined): Doubles => (turned ? transposed(tensor) : tensor);
    const result = product(turn(constant(node, 0), transA), turn(constant(node, 1), transB));
    const c = node.inputs[2] ? constant(node, 2) : undefined;
    const columns = result.dims[1] as number;
    const sum = (result.data as Float64Array).map(
      (value, i) =>
        value * (alpha as number) +
        (beta as number) *
          (c ? (c.data[c.data.length === 1 ? 0 : c.data.length === columns ? i % columns : i] as number) : 0),
    );
    return [{ ...result, data: sum }];
  },
};

/** Lines behind the axes before `axis`, with scale and bias for each of their elements, or for each index of axis 1. */
function normalized(node: OpNode, axis: number, areChannels: boolean): GraphTensor[] {
  const { dims, data } = constant(node, 0);
  const size = sizeOf(dims.slice(axis));
  const at = (input: number, i: number, absent: number): number => {
    if (!node.inputs[input]) return absent;
    const list = constant(node, input).data;
    return list[(areChannels ? Math.floor(i / size) : i) % list.length] as number;
  };
  const mean = (list: Float64Array): number => list.reduce((a, b) => a + b, 0) / size;
  const eps = node.attributes.epsilon as number;
  return [
    floats(
      data.map((x, i) => {
        const first = i - (i % size);
        const line = data.slice(first, first + size);
        const centre = mean(line);
        const variance = mean(line.map((value) => (value - centre) ** 2));
        return ((x - centre) / Math.sqrt(variance + eps)) * at(1, i, 1) + at(2, i, 0);
      }),
    ),
  ];
}

interface Doubles {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

function constant(node: OpNode, index: number): Doubles {
  const tensor = node.inputs[index]?.tensor as GraphTensor;
  return { dims: tensor.dims, data: Float64Array.from(numbersOf(tensor)) };
}

function floats(data: Float64Array): GraphTensor {
  return { type: 'float32', dims: [], data };
}

/** Stacks have the same dims. */
function product(a: Doubles, b: Doubles): GraphTensor {
  const [rows, depth] = a.dims.slice(-2) as [number, number];
  const columns = b.dims.at(-1) as number;
  const dims = [...a.dims.slice(0, -1), columns];
  const data = Float64Array.from({ length: sizeOf(dims) }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const first = Math.floor(row / rows) * depth * columns + column;
    let sum = 0;
    for (let k = 0; k < depth; k++)
      sum += (a.data[row * depth + k] as number) * (b.data[first + k * columns] as number);
    return sum;
  });
  return { type: 'float32', dims, data };
}

/** The last two axes swapped. */
function transposed({ dims, data }: Doubles): Doubles {
  const [rows, columns] = dims.slice(-2) as [number, number];
  const from = (i: number): number => {
    const [matrix, place] = [Math.floor(i / (rows * columns)), i % (rows * columns)];
    return matrix * rows * columns + (place % rows) * columns + Math.floor(place / rows);
  };
  return { dims: [...dims.slice(0, -2), columns, rows], data: data.map((_, i) => data[from(i)] as number) };
}

/** Values under a window of one plane, absent where there are none; in row-major order of the taps. */
function* windows(node: OpNode, kernel?: readonly number[]) {
  const { dims, data } = constant(node, 0);
  const window = windowOf(node as never, dims, kernel);
  const [height, width] = slide(node, dims, window, node.attributes.ceil_mode === 1) as [number, number];
  const [, , h, w] = dims as [number, number, number, number];
  const { strides, dilations, pads } = window;
  const [kh, kw] = window.kernel as [number, number];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      yield (plane: number): (number | undefined)[] =>
        Array.from({ length: kh * kw }, (_, tap) => {
          const row =
            y * (strides[0] as number) - (pads[0] as number) + Math.floor(tap / kw) * (dilations[0] as number);
          const column = x * (strides[1] as number) - (pads[1] as number) + (tap % kw) * (dilations[1] as number);
          return row < 0 || row >= h || column < 0 || column >= w ? undefined : data[(plane * h + row) * w + column];
        });
    }
  }
}

function conv(node: OpNode): GraphTensor[] {
  const [x, weight] = [constant(node, 0), constant(node, 1)];
  const [bias, addend] = [2, 3].map((i) => (node.inputs[i] ? constant(node, i).data : undefined));
  const [n, c] = x.dims as [number, number];
  const [outputs, depth] = weight.dims as [number, number];
  const group = node.attributes.group as number;
  const taps = sizeOf(weight.dims.slice(2));
  const result: number[] = [];
  const all = [...windows(node, weight.dims.slice(2))];
  for (let image = 0; image < n; image++) {
    for (let o = 0; o < outputs; o++) {
      const first = image * c + Math.floor(o / (outputs / group)) * depth;
      for (const at of all) {
        let sum = (bias?.[o] ?? 0) + (addend?.[result.length] ?? 0);
        for (let i = 0; i < depth; i++)
          at(first + i).forEach((value, tap) => {
            sum += (value ?? 0) * (weight.data[(o * depth + i) * taps + tap] as number);
          });
        result.push(sum);
      }
    }
  }
  return [floats(Float64Array.from(result))];
}

function pool(node: OpNode, of: (values: number[], taps: number) => number): GraphTensor[] {
  const { dims } = constant(node, 0);
  const all = [...windows(node)];
  const planes = sizeOf(dims.slice(0, 2));
  const result = Array.from({ length: planes }, (_, plane) =>
    all.map((at) =>
      of(
        at(plane).filter((value) => value !== undefined),
        at(plane).length,
      ),
    ),
  );
  return [floats(Float64Array.from(result.flat()))];
}

function activate({ data }: GraphTensor, { kind, ...parameters }: Activation): Float64Array {
  const numbers = Float64Array.from(data as Float64Array);
  const { low = 0, high = 0 } = parameters as { low?: number; high?: number };
  if (kind === 'clip') return numbers.map((x) => Math.min(high, Math.max(low, x)));
  const tensor: GraphTensor = { type: 'float32', dims: [numbers.length], data: numbers };
  const node = { name: '', op: kind, inputs: ['x'], outputs: ['y'], attributes: {} };
  const [result] = (ops[kind] as Required<Op>).evaluate({
    node,
    attributes: parameters as never,
    inputs: [{ ...tensor, tensor }],
    place: '',
  }) as readonly [GraphTensor];
  return Float64Array.from(numbersOf(result));
}
