import { describeList } from '../../errors';
import { sizeOf } from '../graph';
import { emptyData } from '../tensors';
import { defineOp, namedAxis, type OpNode, operand, requiredAttribute, tensorAt, unfit } from './op';

const attributes = { axis: requiredAttribute('int') };

export const concat = defineOp({
  onnx: 'Concat',
  inputs: [1, 2 ** 16],
  attributes,
  infer: (node) => [{ type: operand(node, 0).type, dims: joinedDims(node) }],
  evaluate(node) {
    const { type } = operand(node, 0);
    const dims = joinedDims(node);
    const axis = namedAxis(node);
    const data = emptyData(type, sizeOf(dims));
    const outer = sizeOf(dims.slice(0, axis));
    const row = outer === 0 ? 0 : data.length / outer;
    let offset = 0;
    node.inputs.forEach((_, input) => {
      const source = tensorAt(node, input).data;
      const length = outer === 0 ? 0 : source.length / outer;
      for (let i = 0; i < outer; i++)
        data.set(source.subarray(i * length, (i + 1) * length) as never, i * row + offset);
      offset += length;
    });
    return [{ type, dims, data }];
  },
  isPerImage: (node) => namedAxis(node) !== 0 && node.inputs.every((input) => !input?.tensor),
  lower: (node) => ({ op: 'concat', attributes: { axis: namedAxis(node) } }),
});

function joinedDims(node: OpNode<typeof attributes>): number[] {
  const { type, dims } = operand(node, 0);
  const axis = namedAxis(node);
  let length = dims[axis] as number;
  for (const other of node.inputs.slice(1).map((_, i) => operand(node, i + 1))) {
    if (
      other.dims.length !== dims.length ||
      other.type !== type ||
      other.dims.some((dim, i) => i !== axis && dim !== dims[i])
    ) {
      throw unfit(
        node,
        `${type} of dims ${describeList(dims)} but for axis ${axis}`,
        `${other.type} of ${describeList(other.dims)}`,
      );
    }
    length += other.dims[axis] as number;
  }
  return dims.map((dim, i) => (i === axis ? length : dim));
}
