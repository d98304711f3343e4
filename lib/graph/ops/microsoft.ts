import { type AttributeTable, attribute, defineOp, type Op, operand } from './op';
import { windowAttributes } from './window';

// Operators in integers that onnxruntime's quantiser writes besides those of ONNX. The reader replaces each by the operator in
// floats between conversions, so no graph has them.

/** Domain of onnxruntime's own operators. */
export const microsoft = 'com.microsoft';

function quantizedOp(onnx: string, inputs: Op['inputs'], attributes: AttributeTable = {}): Op {
  return defineOp({
    onnx,
    domain: microsoft,
    inputs,
    attributes,
    infer: (node) => [{ type: 'uint8', dims: operand(node, 0).dims }],
  });
}

const pooling = { ...windowAttributes, ceil_mode: attribute('int', 0), count_include_pad: attribute('int', 0) };
const channelsLast = { channels_last: attribute('int', 0) };

export const microsoftOps = {
  /** Inputs: a, b, each with scale and zero point; scale and zero point of the output. */
  qLinearAdd: quantizedOp('QLinearAdd', [7, 8]),
  qLinearMul: quantizedOp('QLinearMul', [7, 8]),
  /** Inputs: x with scale and zero point; scale and zero point of the output. */
  qLinearSigmoid: quantizedOp('QLinearSigmoid', [4, 5]),
  qLinearLeakyRelu: quantizedOp('QLinearLeakyRelu', [4, 5], { alpha: attribute('float', 0.01) }),
  qLinearGlobalAveragePool: quantizedOp('QLinearGlobalAveragePool', [5, 5], channelsLast),
  qLinearAveragePool: quantizedOp('QLinearAveragePool', [4, 5], { ...pooling, ...channelsLast }),
  /** Inputs: scale and zero point of the output; then each operand with scale and zero point. */
  qLinearConcat: quantizedOp('QLinearConcat', [5, 2 ** 16], { axis: attribute('int', 1) }),
  /** Inputs: a, b, each with scale and zero point; bias; scale and zero point of the output, which is floats without them. */
  qGemm: quantizedOp('QGemm', [6, 9], {
    alpha: attribute('float', 1),
    transA: attribute('int', 0),
    transB: attribute('int', 0),
  }),
};
