import { tensorOf } from '../tensors';
import { attribute, constantNumber, defineOp, derived, operand, optionalAttribute, tensorAt, unsupported } from './op';

/** Returns its input; passes remove it. */
export const identity = defineOp({
  onnx: 'Identity',
  inputs: [1, 1],
  attributes: {},
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
  evaluate: (node) => [tensorAt(node, 0)],
  isPerImage: true,
  lower: (node) => ({ op: 'reshape', attributes: { dims: operand(node, 0).dims } }),
});

/** Returns its input, except in training with a ratio above 0. Inputs: x, ratio, training. */
export const dropout = defineOp({
  onnx: 'Dropout',
  inputs: [1, 3],
  parameters: [1, 2],
  attributes: { seed: optionalAttribute('int'), ratio: attribute('float', 0.5) },
  upgrade(node, _, additions) {
    const [y = '', mask = ''] = node.outputs;
    const [x = ''] = node.inputs;
    if (mask === '') return [node];
    const dims = derived(node, 'dims', 'Shape', [x], additions);
    const value = tensorOf('bool', [1], [1]);
    const all = { ...derived(node, 'mask', 'ConstantOfShape', dims.outputs, additions, { value }), outputs: [mask] };
    return [{ ...node, outputs: [y] }, dims, all];
  },
  infer(node) {
    const { type, dims } = operand(node, 0);
    const leavesOut = constantNumber(node, 2) && (constantNumber(node, 1) ?? node.attributes.ratio) > 0;
    if (leavesOut) throw unsupported(node, 'the form for inference', 'the one for training');
    return [{ type, dims }];
  },
  isPerImage: true,
  lower: (node) => ({ op: 'reshape', inputs: [0], attributes: { dims: operand(node, 0).dims } }),
});
