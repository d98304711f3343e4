import { mismatch, quote, within } from '../errors';
import { checkFinite } from '../finite';
import type { GraphNode, GraphTensor } from '../graph/graph';
import { checkProducts } from '../model/check-quantized';
import type { QuantizationParameters } from '../model/quantized-layers';
import type { Steps } from '../slices';
import { type IntegerWeights, quantizeWeights, type WeightOptions } from './quantize-weights';

/** The float weights of a node, ordered by output channel. */
export interface NodeWeights {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** Weights as the graph has them: bytes, and the axis of their scales. */
export interface WrittenWeights extends IntegerWeights {
  readonly dims: readonly number[];
  /** Integers in the order of `dims`. */
  readonly bytes: Int8Array;
  readonly axis: number;
}

type Tensors = ReadonlyMap<string, GraphTensor>;

/** How the weights of an operator are laid out. */
interface Layout {
  readonly channels: number;
  /** Place in the tensor of number `j` of an output channel; nothing if channels lie one after the other. */
  readonly at?: (channel: number, j: number) => number;
  /** The axis of the output channels; nothing if no axis has one entry for each. */
  readonly axis: number | undefined;
}

/** @param place The node, for errors. @throws {QARepVGGError} ERR_NON_FINITE */
export function weightsOf(node: GraphNode, tensors: Tensors): NodeWeights {
  const [, weightName = '', biasName = ''] = node.inputs;
  const { data, dims } = tensors.get(weightName) as GraphTensor & { data: Float32Array };
  within(`weight ${quote(weightName)}`, () => checkFinite(data));
  const layout = layoutOf(node, dims);
  const given = tensors.get(biasName)?.data as Float32Array | undefined;
  if (given) within(`bias ${quote(biasName)}`, () => checkFinite(given));
  if (given && given.length !== layout.channels) {
    throw mismatch('ERR_SHAPE', 'bias', `${layout.channels} numbers`, String(given.length));
  }
  const weight = data.slice();
  eachMoved(layout, data.length, (from, to) => {
    weight[from] = data[to] as number;
  });
  return { weight, bias: given ?? new Float32Array(layout.channels) };
}

/** Reorders weights that are ordered by output channel as the tensor has them. */
export function arranged<A extends Float32Array | Int8Array>(weight: A, node: GraphNode, dims: readonly number[]): A {
  const result = weight.slice() as A;
  eachMoved(layoutOf(node, dims), weight.length, (from, to) => {
    result[to] = weight[from] as number;
  });
  return result;
}

function eachMoved({ channels, at }: Layout, length: number, move: (from: number, to: number) => void): void {
  if (!at) return;
  const size = length / channels;
  for (let c = 0; c < channels; c++) for (let j = 0; j < size; j++) move(c * size + j, at(c, j));
}

/**
 * Rounds the weights of a node to integers.
 *
 * @throws {QARepVGGError} ERR_QUANT_PARAM at `place` if scales exceed float32 or sums exceed 32 bits.
 */
export function* integerWeights(
  node: GraphNode,
  { weight, bias }: NodeWeights,
  dims: readonly number[],
  [input, output]: readonly [input: QuantizationParameters, output: QuantizationParameters | undefined],
  options: WeightOptions,
): Steps<WrittenWeights> {
  const { axis } = layoutOf(node, dims);
  const integers = yield* quantizeWeights(weight, bias, input.scale, {
    ...options,
    perChannel: options.perChannel && axis !== undefined,
  });
  checkProducts(integers, input, output);
  return { ...integers, dims, bytes: arranged(integers.weight, node, dims), axis: axis ?? 0 };
}

function layoutOf({ op, attributes }: GraphNode, dims: readonly number[]): Layout {
  const [rows = 1, depth = 1] = dims;
  const inner = dims.slice(2).reduce((product, dim) => product * dim, 1);
  if (op === 'gemm') {
    if (attributes.transB) return { channels: rows, axis: 0 };
    return { channels: depth, at: (c, j) => j * depth + c, axis: 1 };
  }
  if (op === 'conv') return { channels: rows, axis: 0 };
  // A transposed convolution: [inputs, outputs / group, ...kernel].
  const group = attributes.group as number;
  const perGroup = rows / group;
  const at = (c: number, j: number): number => {
    const row = Math.floor(c / depth) * perGroup + Math.floor(j / inner);
    return (row * depth + (c % depth)) * inner + (j % inner);
  };
  return { channels: depth * group, at, axis: group === 1 ? 1 : perGroup === 1 && depth === 1 ? 0 : undefined };
}
