import { attribute, defineOp, operand } from './op';

/**
 * x * scale + shift for each channel: what batch norms, and products and sums with constants have in common. No operator of
 * ONNX: passes make it, fold it into convolutions in double, and write what is left as Mul and Add.
 */
export const affine = defineOp({
  onnx: '',
  inputs: [1, 1],
  attributes: { scale: attribute('floats', []), shift: attribute('floats', []) },
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
});
