import { describeList } from '../../errors';
import type { GraphTensor } from '../graph';
import { rearrange, stridesOf } from '../tensors';
import { attribute, axesOf, defineOp, type OpNode, operand, optionalAttribute, tensorAt, unfit } from './op';

const attributes = { perm: optionalAttribute('ints') };

export const transpose = defineOp({
  onnx: 'Transpose',
  inputs: [1, 1],
  attributes,
  infer(node) {
    const { type, dims } = operand(node, 0);
    return [{ type, dims: permuted(dims, permutation(node)) }];
  },
  evaluate: (node) => [transposed(tensorAt(node, 0), permutation(node))],
  isPerImage: (node) => permutation(node)[0] === 0,
  lower: (node) => ({ op: 'transpose', attributes: { perm: permutation(node) } }),
});

/** The transpose of x reshaped to `dims`. Not an operator of ONNX: a pass makes it of two. */
export const transposeAs = defineOp({
  onnx: '',
  inputs: [1, 1],
  attributes: { dims: attribute('ints', []), perm: attribute('ints', []) },
  infer: (node) => [{ type: operand(node, 0).type, dims: permuted(node.attributes.dims, node.attributes.perm) }],
  evaluate: (node) => [transposed({ ...tensorAt(node, 0), dims: node.attributes.dims }, node.attributes.perm)],
  lower: ({ attributes: { dims, perm } }) => ({ op: 'transpose', attributes: { dims, perm } }),
});

/** Axis i of the output is axis perm[i] of the input. Default: the reverse order. */
function permutation(node: OpNode<typeof attributes>): readonly number[] {
  const rank = operand(node, 0).dims.length;
  const { perm } = node.attributes;
  if (!perm) return Array.from({ length: rank }, (_, i) => rank - 1 - i);
  if (perm.length !== rank || axesOf(node, perm, rank).length !== rank) {
    throw unfit(node, `all axes of ${rank}`, describeList(perm));
  }
  return perm;
}

function permuted(list: readonly number[], perm: readonly number[]): number[] {
  return perm.map((axis) => list[axis] as number);
}

function transposed(tensor: GraphTensor, perm: readonly number[]): GraphTensor {
  const strides = permuted(stridesOf(tensor.dims), perm);
  return rearrange(tensor, permuted(tensor.dims, perm), (index) =>
    index.reduce((sum, at, i) => sum + at * (strides[i] as number), 0),
  );
}
