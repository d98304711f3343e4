import { describeList } from '../../errors';
import { sizeOf } from '../graph';
import { broadcastDims, defineOp, type OpNode, operand, unfit } from './op';

/** A product of matrices, or of broadcast stacks of them. A list is a row on the left and a column on the right. */
export const matMul = defineOp({
  onnx: 'MatMul',
  inputs: [2, 2],
  attributes: {},
  infer: (node) => [{ type: operand(node, 0).type, dims: matMulDims(node) }],
  isPerImage: ({ inputs: [a, b] }) =>
    a?.tensor === undefined &&
    (b?.tensor
      ? b.dims.length <= 2 || b.dims[0] === 1
      : a?.dims.length === b?.dims.length && (a?.dims.length ?? 0) > 2),
  macs: (node) => sizeOf(matMulDims(node)) * (operand(node, 0).dims.at(-1) as number),
  lower: () => ({ op: 'matMul' }),
});

/** Same as MatMul, of two stacks, the matrices of the second one transposed. Not an operator of ONNX: a pass makes it of two. */
export const matMulTransposed = defineOp({
  onnx: '',
  inputs: [2, 2],
  attributes: {},
  infer: (node) => [{ type: operand(node, 0).type, dims: transposedDims(node) }],
  macs: (node) => sizeOf(transposedDims(node)) * (operand(node, 0).dims.at(-1) as number),
  lower: () => ({ op: 'matMul', attributes: { transposed: true } }),
});

function transposedDims(node: OpNode): number[] {
  const { dims } = operand(node, 1);
  return productDims(node, operand(node, 0).dims, [...dims.slice(0, -2), ...dims.slice(-2).reverse()]);
}

/** Dims of the product of the first two inputs. */
export function matMulDims(node: OpNode): number[] {
  return productDims(node, operand(node, 0).dims, operand(node, 1).dims);
}

function productDims(node: OpNode, a: readonly number[], b: readonly number[]): number[] {
  const left = a.length === 1 ? [1, ...a] : a;
  const right = b.length === 1 ? [...b, 1] : b;
  if (left.length < 2 || right.length < 2 || left.at(-1) !== right.at(-2)) {
    throw unfit(node, 'matrices that can be multiplied', `${describeList(a)} and ${describeList(b)}`);
  }
  const dims = broadcastDims(node, [left.slice(0, -2), right.slice(0, -2)]);
  if (a.length > 1) dims.push(left.at(-2) as number);
  if (b.length > 1) dims.push(right.at(-1) as number);
  return dims;
}
