import { Writer } from './builder';
import { mapConstants } from './elementwise';
import { attribute, defineOp, operand } from './op';

const [low, high] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];

/** Whether a number is one of the infinities that count. */
export const isInf = defineOp({
  onnx: 'IsInf',
  inputs: [1, 1],
  attributes: { detect_negative: attribute('int', 1), detect_positive: attribute('int', 1) },
  isPerImage: true,
  infer: (node) => [{ type: 'bool', dims: operand(node, 0).dims }],
  evaluate(node) {
    const { detect_negative: negative, detect_positive: positive } = node.attributes;
    return mapConstants(node, 'bool', (x) => Number((x === low && negative !== 0) || (x === high && positive !== 0)));
  },
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const { detect_negative: negative, detect_positive: positive } = node.attributes;
    const [x = ''] = node.node.inputs;
    if (!negative && !positive) return write.last('less', [x, x]);
    const value = negative && positive ? write.add('abs', [x]) : x;
    return write.last('equal', [value, write.number(positive ? high : low)]);
  },
});
