import { describe } from '../../errors';
import { sizeOf } from '../graph';
import { numbersOf, rearrange } from '../tensors';
import { attribute, defineOp, namedAxis, type OpNode, operand, tensorAt, unfit } from './op';

const attributes = { axis: attribute('int', 0) };

/** Inputs: x, positions along the axis. */
export const gather = defineOp({
  onnx: 'Gather',
  inputs: [2, 2],
  attributes,
  infer(node) {
    const dims = gatheredDims(node);
    // Computed positions are not known before a run; those out of range read zeros.
    if (node.inputs[1]?.tensor) positionsOf(node);
    return [{ type: operand(node, 0).type, dims }];
  },
  evaluate(node) {
    const { dims } = operand(node, 0);
    const axis = namedAxis(node);
    const positions = positionsOf(node);
    const inner = sizeOf(dims.slice(axis + 1));
    let next = 0;
    const pick = (): number => {
      const [rest, row] = [next % inner, Math.floor(next++ / inner)];
      const at = positions[row % positions.length] as number;
      return (Math.floor(row / positions.length) * (dims[axis] as number) + at) * inner + rest;
    };
    return [rearrange(tensorAt(node, 0), gatheredDims(node), pick)];
  },
  isPerImage: (node) => namedAxis(node) !== 0 && !node.inputs[0]?.tensor && node.inputs[1]?.tensor !== undefined,
  lower: (node) => ({ op: 'gather', attributes: { axis: namedAxis(node) } }),
});

function gatheredDims(node: OpNode<typeof attributes>): number[] {
  const { dims } = operand(node, 0);
  const axis = namedAxis(node);
  return [...dims.slice(0, axis), ...operand(node, 1).dims, ...dims.slice(axis + 1)];
}

/** Positions from a constant input, with negative ones resolved. */
function positionsOf(node: OpNode<typeof attributes>): number[] {
  const { dims } = operand(node, 0);
  const length = dims[namedAxis(node)] as number;
  return Array.from(numbersOf(tensorAt(node, 1)), (at) => {
    const position = at < 0 ? at + length : at;
    if (position >= 0 && position < length) return position;
    throw unfit(node, `positions from ${-length} to ${length - 1}`, describe(at));
  });
}
