import { Writer } from './builder';
import { erf, mapConstants } from './elementwise';
import { attribute, defineOp, operand } from './op';

/** x times the share of the normal distribution that lies below x. */
export const gelu = defineOp({
  onnx: 'Gelu',
  inputs: [1, 1],
  attributes: { approximate: attribute('text', 'none') },
  isPerImage: true,
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
  evaluate(node) {
    const share =
      node.attributes.approximate === 'tanh'
        ? (x: number) => Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))
        : (x: number) => erf(x * Math.SQRT1_2);
    return mapConstants(node, operand(node, 0).type, (x) => 0.5 * x * (1 + share(x)));
  },
  /** The approximation, which few files have, is computed by other operators. */
  writeOut(node, builder) {
    if (node.attributes.approximate !== 'tanh') return undefined;
    const write = new Writer(node.node, builder);
    const [x = ''] = node.node.inputs;
    const cube = write.add('mul', [write.add('mul', [x, x]), x]);
    const sum = write.add('add', [x, write.add('mul', [cube, write.number(0.044715)])]);
    const inner = write.add('tanh', [write.add('mul', [sum, write.number(Math.sqrt(2 / Math.PI))])]);
    const half = write.add('mul', [x, write.number(0.5)]);
    return write.last('mul', [half, write.add('add', [inner, write.number(1)])]);
  },
  lower: () => ({ op: 'unary', attributes: { kind: 'gelu' } }),
});
