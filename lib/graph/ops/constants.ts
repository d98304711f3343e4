import { describe, describeList } from '../../errors';
import { type GraphTensor, sizeOf } from '../graph';
import { emptyData, tensorOf } from '../tensors';
import {
  attribute,
  constantList,
  constantNumber,
  defineOp,
  type OpNode,
  operand,
  optionalAttribute,
  unfit,
} from './op';

const shapeAttributes = { start: attribute('int', 0), end: optionalAttribute('int') };

/** The dims of a value, from `start` to `end`. */
export const shape = defineOp({
  onnx: 'Shape',
  inputs: [1, 1],
  attributes: shapeAttributes,
  infer: (node) => [{ type: 'int64', dims: [part(node).length] }],
  dimsOnly: true,
  evaluate: (node) => [tensorOf('int64', [part(node).length], part(node))],
});

function part(node: OpNode<typeof shapeAttributes>): readonly number[] {
  const { start, end } = node.attributes;
  return operand(node, 0).dims.slice(start, end);
}

export const size = defineOp({
  onnx: 'Size',
  inputs: [1, 1],
  attributes: {},
  infer: () => [{ type: 'int64', dims: [] }],
  dimsOnly: true,
  evaluate: (node) => [tensorOf('int64', [], [sizeOf(operand(node, 0).dims)])],
});

const valueAttributes = {
  value: optionalAttribute('tensor'),
  value_float: optionalAttribute('float'),
  value_floats: optionalAttribute('floats'),
  value_int: optionalAttribute('int'),
  value_ints: optionalAttribute('ints'),
};

/** A tensor in a node. The reader turns it into a tensor of the graph. */
export const constant = defineOp({
  onnx: 'Constant',
  inputs: [0, 0],
  attributes: valueAttributes,
  infer: (node) => [constantOf(node)],
  evaluate: (node) => [constantOf(node)],
});

function constantOf(node: OpNode<typeof valueAttributes>): GraphTensor {
  const { value, value_float: float, value_floats: floats, value_int: int, value_ints: ints } = node.attributes;
  if (value) return value;
  if (float !== undefined) return tensorOf('float32', [], [float]);
  if (floats) return tensorOf('float32', [floats.length], floats);
  if (int !== undefined) return tensorOf('int64', [], [int]);
  if (ints) return tensorOf('int64', [ints.length], ints);
  throw unfit(node, 'a value of numbers', 'none');
}

/** A tensor of equal numbers. Input: its dims. */
export const constantOfShape = defineOp({
  onnx: 'ConstantOfShape',
  inputs: [1, 1],
  parameters: [0],
  attributes: { value: attribute('tensor', { type: 'float32', dims: [1], data: new Float32Array(1) }) },
  infer: (node) => [{ type: node.attributes.value.type, dims: filledDims(node) }],
  evaluate(node) {
    const { type } = node.attributes.value;
    const dims = filledDims(node);
    const data = emptyData(type, sizeOf(dims));
    data.fill((node.attributes.value.data[0] ?? 0) as never);
    return [{ type, dims, data }];
  },
});

function filledDims(node: OpNode): number[] {
  const dims = constantList(node, 0) ?? [];
  if (dims.every((dim) => dim >= 0)) return dims;
  throw unfit(node, 'dims from 0', describeList(dims));
}

/** A range has at most this many numbers. */
const maxRange = 2 ** 24;

/** Inputs: start, limit, step. */
export const range = defineOp({
  onnx: 'Range',
  inputs: [3, 3],
  parameters: [0, 1, 2],
  attributes: {},
  infer: (node) => [{ type: operand(node, 0).type, dims: [rangeOf(node).count] }],
  evaluate(node) {
    const { start, step, count } = rangeOf(node);
    const numbers = Float64Array.from({ length: count }, (_, i) => start + i * step);
    return [tensorOf(operand(node, 0).type, [count], numbers)];
  },
});

function rangeOf(node: OpNode): { start: number; step: number; count: number } {
  const [start = 0, limit = 0, step = 0] = [0, 1, 2].map((i) => constantNumber(node, i));
  const count = Math.max(0, Math.ceil((limit - start) / step));
  if (count <= maxRange) return { start, step, count };
  throw unfit(node, `at most ${maxRange} numbers`, describe(count));
}

/** Positions of the numbers that are not zero: [rank, count]. For constants, and in a tail (see tail.ts). */
export const nonZero = defineOp({
  onnx: 'NonZero',
  inputs: [1, 1],
  parameters: [0],
  attributes: {},
  afterRun: 'of inputs',
  infer: (node) => [{ type: 'int64', dims: positionsOf(node).dims }],
  evaluate: (node) => [positionsOf(node)],
});

function positionsOf(node: OpNode): GraphTensor {
  const { dims } = operand(node, 0);
  const numbers = constantList(node, 0) ?? [];
  const found = Array.from(numbers, (value, i) => (value === 0 ? -1 : i)).filter((i) => i >= 0);
  let inner = 1;
  const rows: number[][] = [];
  for (const dim of [...dims].reverse()) {
    const stride = inner;
    rows.unshift(found.map((i) => Math.floor(i / stride) % dim));
    inner *= dim;
  }
  return tensorOf('int64', [dims.length, found.length], rows.flat());
}
