import { sizeOf } from '../graph';
import { advance, numbersOf, stridesOf, tensorOf } from '../tensors';
import { attribute, axesOf, constantList, defineOp, type Op, type OpNode, operand, tensorAt } from './op';

const attributes = { keepdims: attribute('int', 1), noop_with_empty_axes: attribute('int', 0) };

/**
 * Reduces some axes to one number. Inputs: x, axes (default: all).
 * @param opset The first opset in which the axes are an input.
 */
function reduction(onnx: string, kind: string, compute: (values: readonly number[]) => number, opset = 18): Op {
  return defineOp({
    onnx,
    inputs: [1, 2],
    parameters: [1],
    attributes,
    moved: [{ attribute: 'axes', input: 1, opset }],
    infer: (node) => [{ type: operand(node, 0).type, dims: reducedDims(node) }],
    evaluate(node) {
      const { dims } = operand(node, 0);
      const axes = reducedAxes(node);
      const kept = dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
      const strides = stridesOf(kept).map((stride, axis) => (axes.includes(axis) ? 0 : stride));
      const groups = Array.from({ length: sizeOf(kept) }, (): number[] => []);
      const index = dims.map(() => 0);
      for (const value of Array.from(numbersOf(tensorAt(node, 0)))) {
        groups[index.reduce((sum, at, i) => sum + at * (strides[i] as number), 0)]?.push(value);
        advance(index, dims);
      }
      return [tensorOf(operand(node, 0).type, reducedDims(node), groups.map(compute))];
    },
    isPerImage: (node) => !reducedAxes(node).includes(0),
    lower: (node) => ({
      op: 'reduce',
      inputs: [0],
      attributes: { kind, axes: reducedAxes(node), keepDims: node.attributes.keepdims !== 0 },
    }),
  });
}

export function reducedAxes(node: OpNode<typeof attributes>): number[] {
  const rank = operand(node, 0).dims.length;
  const given = constantList(node, 1) ?? [];
  const all = node.attributes.noop_with_empty_axes ? [] : Array.from({ length: rank }, (_, i) => i);
  return given.length > 0 ? axesOf(node, given, rank) : all;
}

function reducedDims(node: OpNode<typeof attributes>): number[] {
  const axes = reducedAxes(node);
  const { dims } = operand(node, 0);
  if (node.attributes.keepdims) return dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  return dims.filter((_, axis) => !axes.includes(axis));
}

const add = (values: readonly number[], of = (x: number) => x): number => values.reduce((sum, x) => sum + of(x), 0);
const square = (x: number): number => x * x;
const largest = (values: readonly number[]): number =>
  values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);

export const reductions = {
  reduceSum: reduction('ReduceSum', 'sum', (values) => add(values), 13),
  reduceMean: reduction('ReduceMean', 'mean', (values) => add(values) / values.length),
  reduceMax: reduction('ReduceMax', 'max', largest),
  reduceMin: reduction('ReduceMin', 'min', (values) =>
    values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
  ),
  reduceProd: reduction('ReduceProd', 'prod', (values) => values.reduce((a, b) => a * b, 1)),
  reduceL1: reduction('ReduceL1', 'l1', (values) => add(values, Math.abs)),
  reduceL2: reduction('ReduceL2', 'l2', (values) => Math.sqrt(add(values, square))),
  reduceSumSquare: reduction('ReduceSumSquare', 'sumSquare', (values) => add(values, square)),
  reduceLogSum: reduction('ReduceLogSum', 'logSum', (values) => Math.log(add(values))),
  reduceLogSumExp: reduction('ReduceLogSumExp', 'logSumExp', (values) => {
    const high = largest(values);
    return high + Math.log(add(values, (x) => Math.exp(x - high)));
  }),
};
