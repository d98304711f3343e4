import { attribute, defineOp, operand } from './op';

// Not operators of ONNX: blocks in train form have them, and training computes them.

/**
 * Inputs: x, weight, bias, running mean and variance, each [c]; the number of batches so far; perhaps a value with the dims of x that is
 * added to the output. `momentum` is the weight of the latest batch, as in PyTorch; ONNX has that of the older ones.
 */
export const batchNorm = defineOp({
  onnx: '',
  inputs: [6, 7],
  attributes: { epsilon: attribute('float', 1e-5), momentum: attribute('float', 0.1) },
  infer: (node) => [operand(node, 0)],
  lower: ({ attributes: { epsilon, momentum } }) => ({ op: 'batchNorm', attributes: { epsilon, momentum } }),
});

/** x times a learnable number. Inputs: x, and the number, [1]. */
export const scale = defineOp({
  onnx: '',
  inputs: [2, 2],
  attributes: {},
  infer: (node) => [operand(node, 0)],
  lower: () => ({ op: 'scale' }),
});
