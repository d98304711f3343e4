import { describeList } from '../../errors';
import { attribute, defineOp, operand, requiredAttribute, unfit } from './op';

export const depthToSpace = defineOp({
  onnx: 'DepthToSpace',
  inputs: [1, 1],
  attributes: { blocksize: requiredAttribute('int'), mode: attribute('text', 'DCR') },
  infer(node) {
    const { type, dims } = operand(node, 0);
    const { blocksize: side, mode } = node.attributes;
    const [n, c, h, w] = dims as [number, number, number, number];
    if (dims.length !== 4 || side < 1 || c % side ** 2 !== 0)
      throw unfit(node, `channels in multiples of ${side ** 2}`, describeList(dims));
    if (mode !== 'DCR' && mode !== 'CRD') throw unfit(node, 'mode DCR or CRD', mode);
    return [{ type, dims: [n, c / side ** 2, h * side, w * side] }];
  },
  isPerImage: true,
  lower: ({ attributes: { blocksize, mode } }) => ({ op: 'depthToSpace', attributes: { blocksize, mode } }),
});

export const spaceToDepth = defineOp({
  onnx: 'SpaceToDepth',
  inputs: [1, 1],
  attributes: { blocksize: requiredAttribute('int') },
  infer(node) {
    const { type, dims } = operand(node, 0);
    const { blocksize: side } = node.attributes;
    const [n, c, h, w] = dims as [number, number, number, number];
    if (dims.length !== 4 || side < 1 || h % side !== 0 || w % side !== 0) {
      throw unfit(node, `height and width in multiples of ${side}`, describeList(dims));
    }
    return [{ type, dims: [n, c * side ** 2, h / side, w / side] }];
  },
  isPerImage: true,
  lower: ({ attributes: { blocksize } }) => ({ op: 'spaceToDepth', attributes: { blocksize } }),
});
