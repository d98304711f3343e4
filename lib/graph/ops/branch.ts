import { defineOp, unsupported } from './op';

/**
 * The outputs of one of two branches. Inputs: the condition, and, in a graph, what the branches read of it. It never gets to the
 * engine; see branches.ts.
 */
export const branch = defineOp({
  onnx: 'If',
  inputs: [1, 2 ** 16],
  outputs: [1, 2 ** 16],
  parameters: [0],
  attributes: {},
  infer(node) {
    throw unsupported(node, 'a branch', 'none');
  },
});
