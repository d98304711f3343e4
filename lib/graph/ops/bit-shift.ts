import { describe } from '../../errors';
import { onnxTypeOf } from '../data-types';
import { tensorOf } from '../tensors';
import { defineOp, derived, operand, requiredAttribute } from './op';

/**
 * Shifts unsigned integers by numbers of bits. The reader turns it into a product or quotient with powers of two, because graphs have
 * wider types in place of the unsigned ones.
 */
export const bitShift = defineOp({
  onnx: 'BitShift',
  inputs: [2, 2],
  attributes: { direction: requiredAttribute('text') },
  upgrade(node, _, additions) {
    const direction = node.attributes.get('direction');
    if (direction !== 'LEFT' && direction !== 'RIGHT')
      throw new Error(`attribute direction: expected LEFT or RIGHT, received ${describe(direction)}`);
    const [x = '', bits = ''] = node.inputs;
    const two = additions.tensor(tensorOf('float32', [], [2]));
    const exponent = derived(node, 'bits', 'Cast', [bits], additions, { to: onnxTypeOf('float32') });
    const power = derived(node, 'power', 'Pow', [two, ...exponent.outputs], additions);
    const factor = derived(node, 'factor', 'CastLike', [...power.outputs, x], additions);
    const op = direction === 'LEFT' ? 'Mul' : 'Div';
    return [exponent, power, factor, { ...node, op, inputs: [x, ...factor.outputs], attributes: new Map() }];
  },
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
});
