import { attribute, defineOp, operand } from './op';

/**
 * x * scale + shift for each channel: the common form of batch norms, and of products and sums with constants. Not an operator
 * of ONNX: passes make it, fold it into convolutions in double, and write the remaining ones as Mul and Add.
 */
export const affine = defineOp({
  onnx: '',
  inputs: [1, 1],
  attributes: { scale: attribute('floats', []), shift: attribute('floats', []) },
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
});
