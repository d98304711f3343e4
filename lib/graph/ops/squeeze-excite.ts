import { defineOp, operand } from './op';

/** Inputs: x, matrix and bias of the two linear layers. Not an operator of ONNX: a pass finds the nodes that compute it. */
export const squeezeExcite = defineOp({
  onnx: '',
  inputs: [5, 5],
  attributes: {},
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
  lower: () => ({ op: 'squeezeExcite' }),
});
