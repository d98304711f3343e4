import { Writer } from './builder';
import { clamp, mapConstants } from './elementwise';
import { constantNumber, defineOp, type OpNode, operand } from './op';

/** Inputs: x, lower and upper bound, both optional. */
export const clip = defineOp({
  onnx: 'Clip',
  inputs: [1, 3],
  attributes: {},
  moved: [
    { attribute: 'min', input: 1, opset: 11 },
    { attribute: 'max', input: 2, opset: 11 },
  ],
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
  evaluate(node) {
    const { low, high } = clipBounds(node);
    const [x] = node.inputs;
    return mapConstants({ ...node, inputs: [x] }, operand(node, 0).type, (value) => clamp(value, low, high));
  },
  writeOut(node, builder) {
    const [x, ...bounds] = node.inputs;
    if (x?.type === 'float32' && bounds.every((bound) => bound === undefined || bound.tensor)) return undefined;
    const write = new Writer(node.node, builder);
    const [value = '', low, high] = node.node.inputs;
    if (high) return write.last('min', [low ? write.add('max', [value, low]) : value, high]);
    return low ? write.last('max', [value, low]) : write.last('identity', [value]);
  },
  isPerImage: true,
  lower: (node) => ({ op: 'unary', inputs: [0], attributes: { kind: 'clip', ...clipBounds(node) } }),
});

/** The bounds; an absent one is infinite. */
export function clipBounds(node: OpNode): { low: number; high: number } {
  return {
    low: constantNumber(node, 1) ?? Number.NEGATIVE_INFINITY,
    high: constantNumber(node, 2) ?? Number.POSITIVE_INFINITY,
  };
}
