import { describeList } from '../../errors';
import { sizeOf } from '../graph';
import { numbersOf, rearrange, stridesOf } from '../tensors';
import { attribute, defineOp, type OpNode, operand, tensorAt, unfit } from './op';

const attributes = { batch_dims: attribute('int', 0) };

type GatherNode = OpNode<typeof attributes>;

/** Inputs: x, lists of positions along its first axes. Only for constants, and in a tail (see tail.ts). */
export const gatherNd = defineOp({
  onnx: 'GatherND',
  inputs: [2, 2],
  attributes,
  infer: (node) => [{ type: operand(node, 0).type, dims: gatheredDims(node) }],
  evaluate(node) {
    const { dims } = operand(node, 0);
    const { batch_dims: batch } = node.attributes;
    const lists = operand(node, 1).dims;
    const [depth, strides] = [lists.at(-1) as number, stridesOf(dims)];
    const positions = numbersOf(tensorAt(node, 1));
    const inner = sizeOf(dims.slice(batch + depth));
    const perBatch = sizeOf(lists.slice(batch, -1));
    let next = 0;
    const pick = (): number => {
      const [rest, row] = [next % inner, Math.floor(next++ / inner)];
      const image = Math.floor(row / perBatch) * sizeOf(dims.slice(batch));
      let start = image + rest;
      for (let i = 0; i < depth; i++) {
        const length = dims[batch + i] as number;
        const at = positions[row * depth + i] as number;
        const position = at < 0 ? at + length : at;
        if (!(position >= 0 && position < length))
          throw unfit(node, `positions from ${-length} to ${length - 1}`, String(at));
        start += position * (strides[batch + i] as number);
      }
      return start;
    };
    return [rearrange(tensorAt(node, 0), gatheredDims(node), pick)];
  },
});

function gatheredDims(node: GatherNode): number[] {
  const [{ dims }, lists] = [operand(node, 0), operand(node, 1).dims];
  const { batch_dims: batch } = node.attributes;
  const depth = lists.at(-1) ?? 0;
  const fits = batch >= 0 && batch < lists.length && depth >= 1 && batch + depth <= dims.length;
  if (!fits || !dims.slice(0, batch).every((dim, axis) => dim === lists[axis])) {
    throw unfit(node, `lists of positions for dims ${describeList(dims)}`, describeList(lists));
  }
  return [...lists.slice(0, -1), ...dims.slice(batch + depth)];
}
