import { describeList } from '../../errors';
import { sizeOf } from '../graph';
import { channelNorm, spatialAxes } from './normalization';
import { attribute, defineOp, operand, unfit, unsupported } from './op';

/**
 * Inputs: x [n, c, ...], scale, bias, mean and variance, each [c]. Passes fold it or write it as Mul and Add. The form for training
 * has the statistics of x instead: some networks standardise their weights with it.
 */
export const batchNormalization = defineOp({
  onnx: 'BatchNormalization',
  inputs: [5, 5],
  parameters: [1, 2, 3, 4],
  // Models exported for training have running statistics as further outputs, which nothing reads.
  outputs: [1, 5],
  computed: 1,
  attributes: {
    epsilon: attribute('float', 1e-5),
    momentum: attribute('float', 0.9),
    spatial: attribute('int', 1),
    training_mode: attribute('int', 0),
  },
  isPerImage: true,
  check(node) {
    const { training_mode: training, spatial } = node.attributes;
    if (training !== 0 || spatial !== 1) throw unsupported(node, 'the form for inference', 'the one for training');
  },
  infer(node) {
    const { type, dims } = operand(node, 0);
    for (const i of [1, 2, 3, 4]) {
      if (sizeOf(operand(node, i).dims) !== (dims[1] ?? 1)) {
        throw unfit(node, `${dims[1]} numbers as input ${i}`, describeList(operand(node, i).dims));
      }
    }
    return [{ type, dims }];
  },
  writeOut(node, builder) {
    if (node.attributes.training_mode === 0) return undefined;
    return channelNorm(node, [0, ...spatialAxes(node)], node.attributes.epsilon, builder);
  },
});
