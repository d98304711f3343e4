import { describe, mismatch } from '../../errors';
import { dataTypeOf } from '../data-types';
import type { DataType } from '../graph';
import { numbersOf, tensorOf } from '../tensors';
import { attribute, defineOp, type OpNode, operand, requiredAttribute, tensorAt } from './op';

const attributes = { to: requiredAttribute('int'), saturate: attribute('int', 1) };

/** A type that graphs do not have becomes the one that they use for it. */
export const cast = defineOp({
  onnx: 'Cast',
  inputs: [1, 1],
  attributes,
  infer: (node) => [{ type: target(node), dims: operand(node, 0).dims }],
  evaluate(node) {
    const { dims } = operand(node, 0);
    return [tensorOf(target(node), dims, numbersOf(tensorAt(node, 0)))];
  },
  isPerImage: true,
  lower: (node) => ({ op: 'cast', attributes: { to: target(node) } }),
});

function target(node: OpNode<typeof attributes>): DataType {
  const { to } = node.attributes;
  const type = dataTypeOf(to);
  if (type) return type;
  throw mismatch('ERR_MODEL_INCOMPATIBLE', node.place, 'a type of numbers', `type ${describe(to)}`);
}

/** Casts to the type of the second input. */
export const castLike = defineOp({
  onnx: 'CastLike',
  inputs: [2, 2],
  attributes: { saturate: attribute('int', 1) },
  infer: (node) => [{ type: operand(node, 1).type, dims: operand(node, 0).dims }],
  evaluate: (node) => [tensorOf(operand(node, 1).type, operand(node, 0).dims, numbersOf(tensorAt(node, 0)))],
  isPerImage: true,
  lower: (node) => ({ op: 'cast', inputs: [0], attributes: { to: operand(node, 1).type } }),
});
