import { describeList } from '../../errors';
import { rearrange, stridesOf } from '../tensors';
import { axesOf, defineOp, type OpNode, operand, optionalAttribute, tensorAt, unfit } from './op';

const attributes = { perm: optionalAttribute('ints') };

export const transpose = defineOp({
  onnx: 'Transpose',
  inputs: [1, 1],
  attributes,
  infer(node) {
    const { type, dims } = operand(node, 0);
    return [{ type, dims: permutation(node).map((axis) => dims[axis] as number) }];
  },
  evaluate(node) {
    const { dims } = operand(node, 0);
    const perm = permutation(node);
    const strides = stridesOf(dims);
    const moved = perm.map((axis) => strides[axis] as number);
    const target = perm.map((axis) => dims[axis] as number);
    return [
      rearrange(tensorAt(node, 0), target, (index) => index.reduce((sum, at, i) => sum + at * (moved[i] as number), 0)),
    ];
  },
  lower: (node) => ({ op: 'transpose', attributes: { perm: permutation(node) } }),
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
