import { describeList } from '../../errors';
import { broadcastPositions, rearrange, stridesOf } from '../tensors';
import { broadcastDims, constantList, defineOp, type OpNode, operand, tensorAt, unfit } from './op';

/** Inputs: x, dims that it is broadcast to. */
export const expand = defineOp({
  onnx: 'Expand',
  inputs: [2, 2],
  parameters: [1],
  attributes: {},
  infer: (node) => [{ type: operand(node, 0).type, dims: target(node) }],
  evaluate(node) {
    const { dims } = operand(node, 0);
    const positions = broadcastPositions(dims, target(node));
    let next = 0;
    return [rearrange(tensorAt(node, 0), target(node), () => positions[next++] as number)];
  },
  isPerImage: (node) => operand(node, 0).dims.length === target(node).length,
  lower: (node) => ({ op: 'expand', inputs: [0], attributes: { dims: target(node) } }),
});

function target(node: OpNode): number[] {
  const wanted = constantList(node, 1) ?? [];
  if (wanted.some((dim) => !(dim >= 0))) throw unfit(node, 'dims from 0', describeList(wanted));
  return broadcastDims(node, [operand(node, 0).dims, wanted]);
}

/** Inputs: x, number of repetitions along each axis. */
export const tile = defineOp({
  onnx: 'Tile',
  inputs: [2, 2],
  parameters: [1],
  attributes: {},
  infer(node) {
    const { type, dims } = operand(node, 0);
    return [{ type, dims: repeats(node).map((count, axis) => count * (dims[axis] as number)) }];
  },
  evaluate(node) {
    const { dims } = operand(node, 0);
    const strides = stridesOf(dims);
    const wide = repeats(node).map((count, axis) => count * (dims[axis] as number));
    return [
      rearrange(tensorAt(node, 0), wide, (index) =>
        index.reduce((sum, at, i) => sum + (at % (dims[i] as number)) * (strides[i] as number), 0),
      ),
    ];
  },
  isPerImage: (node) => repeats(node)[0] === 1,
  lower: (node) => ({ op: 'tile', inputs: [0], attributes: { repeats: repeats(node) } }),
});

function repeats(node: OpNode): number[] {
  const counts = constantList(node, 1) ?? [];
  const { dims } = operand(node, 0);
  if (counts.length === dims.length && counts.every((count) => count >= 0)) return counts;
  throw unfit(node, `a number of repetitions for each of ${dims.length} axes`, describeList(counts));
}
