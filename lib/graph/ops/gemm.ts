import { describeList } from '../../errors';
import { sizeOf } from '../graph';
import { attribute, broadcastDims, defineOp, operand, unfit } from './op';

/** alpha * a * b + beta * c. Passes write it as a convolution, or as MatMul and Add. */
export const gemm = defineOp({
  onnx: 'Gemm',
  inputs: [2, 3],
  attributes: {
    alpha: attribute('float', 1),
    beta: attribute('float', 1),
    transA: attribute('int', 0),
    transB: attribute('int', 0),
  },
  infer(node) {
    const [a, b, c] = [operand(node, 0), operand(node, 1), node.inputs[2]];
    const { transA, transB } = node.attributes;
    const [rows, depth] = transA ? [...a.dims].reverse() : a.dims;
    const [other, columns] = transB ? [...b.dims].reverse() : b.dims;
    if (a.dims.length !== 2 || b.dims.length !== 2 || depth !== other) {
      throw unfit(node, 'matrices that can be multiplied', `${describeList(a.dims)} and ${describeList(b.dims)}`);
    }
    const dims = [rows, columns] as number[];
    const sum = c ? broadcastDims(node, [dims, c.dims]) : dims;
    if (sum.length !== 2 || sizeOf(sum) !== sizeOf(dims))
      throw unfit(node, `an addend of dims ${describeList(dims)}`, describeList(sum));
    return [{ type: a.type, dims }];
  },
  isPerImage: ({ attributes, inputs: [, b, c] }) =>
    !attributes.transA && b?.tensor !== undefined && (!c?.tensor || c.dims.length < 2 || c.dims[0] === 1),
  macs: (node) => sizeOf(operand(node, 0).dims) * (operand(node, 1).dims[node.attributes.transB ? 0 : 1] as number),
});
