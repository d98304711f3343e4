import { describeList } from '../../errors';
import { sizeOf } from '../graph';
import {
  attribute,
  axesOf,
  axisOf,
  constantList,
  defineOp,
  type Op,
  type OpNode,
  operand,
  tensorAt,
  unfit,
} from './op';

/** The common part of operators that change dims and keep the numbers; a pass turns them into Reshape. */
function reshaping<const A extends Op['attributes']>(
  op: Pick<Op<A>, 'onnx' | 'inputs' | 'attributes' | 'moved'> & { dims(node: OpNode<A>): number[] },
): Op {
  const { dims, ...rest } = op;
  return defineOp<A>({
    ...rest,
    parameters: [1],
    infer: (node) => [{ type: operand(node, 0).type, dims: dims(node) }],
    evaluate: (node) => [{ ...tensorAt(node, 0), dims: dims(node) }],
    // Elements stay in order.
    isPerImage: true,
    lower: (node) => ({ op: 'reshape', inputs: [0], attributes: { dims: dims(node) } }),
  });
}

/** Inputs: x, dims. One dim may be -1, which means the rest; 0 means the dim of the input. */
export const reshape = reshaping({
  onnx: 'Reshape',
  inputs: [2, 2],
  attributes: { allowzero: attribute('int', 0) },
  dims(node) {
    const { dims } = operand(node, 0);
    const wanted = constantList(node, 1) ?? [];
    const copied = wanted.map((dim, i) => (dim === 0 && !node.attributes.allowzero ? (dims[i] ?? -2) : dim));
    const known = sizeOf(copied.filter((dim) => dim !== -1));
    const rest = sizeOf(dims) / known;
    const result = copied.map((dim) => (dim === -1 ? rest : dim));
    const open = copied.filter((dim) => dim === -1).length;
    if (open <= 1 && result.every((dim) => Number.isInteger(dim) && dim >= 0) && sizeOf(result) === sizeOf(dims)) {
      return result;
    }
    throw unfit(node, `dims for the ${sizeOf(dims)} elements of ${describeList(dims)}`, describeList(wanted));
  },
});

export const flatten = reshaping({
  onnx: 'Flatten',
  inputs: [1, 1],
  attributes: { axis: attribute('int', 1) },
  dims(node) {
    const { dims } = operand(node, 0);
    const { axis } = node.attributes;
    const at = axis === dims.length ? axis : axisOf(node, axis, dims.length);
    return [sizeOf(dims.slice(0, at)), sizeOf(dims.slice(at))];
  },
});

/** Inputs: x, axes of length 1 to remove (default: all of these). */
export const squeeze = reshaping({
  onnx: 'Squeeze',
  inputs: [1, 2],
  attributes: {},
  moved: [{ attribute: 'axes', input: 1, opset: 13 }],
  dims(node) {
    const { dims } = operand(node, 0);
    const axes = constantList(node, 1) ?? dims.flatMap((dim, axis) => (dim === 1 ? [axis] : []));
    const gone = axesOf(node, axes, dims.length);
    if (gone.some((axis) => dims[axis] !== 1))
      throw unfit(node, 'axes of length 1', `${describeList(axes)} of ${describeList(dims)}`);
    return dims.filter((_, axis) => !gone.includes(axis));
  },
});

/** Inputs: x, positions of the new axes in the output. */
export const unsqueeze = reshaping({
  onnx: 'Unsqueeze',
  inputs: [2, 2],
  attributes: {},
  moved: [{ attribute: 'axes', input: 1, opset: 13 }],
  dims(node) {
    const { dims } = operand(node, 0);
    const axes = constantList(node, 1) ?? [];
    const added = axesOf(node, axes, dims.length + axes.length);
    const rest = [...dims];
    return Array.from({ length: dims.length + axes.length }, (_, axis) =>
      added.includes(axis) ? 1 : (rest.shift() as number),
    );
  },
});
