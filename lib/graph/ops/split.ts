import { describeList } from '../../errors';
import { rearrange, stridesOf } from '../tensors';
import {
  attribute,
  constantList,
  defineOp,
  namedAxis,
  type OpNode,
  operand,
  optionalAttribute,
  tensorAt,
  unfit,
} from './op';

const attributes = { axis: attribute('int', 0), num_outputs: optionalAttribute('int') };

/** Inputs: x, lengths along the axis (default: equal ones). */
export const split = defineOp({
  onnx: 'Split',
  inputs: [1, 2],
  outputs: [1, 2 ** 16],
  parameters: [1],
  attributes,
  moved: [{ attribute: 'split', input: 1, opset: 13 }],
  upgrade(node, opset) {
    const isCounted = node.inputs.length > 1 || opset >= 18 || node.attributes.has('num_outputs');
    return [
      isCounted ? node : { ...node, attributes: new Map(node.attributes).set('num_outputs', node.outputs.length) },
    ];
  },
  infer(node) {
    const { type, dims } = operand(node, 0);
    const { axis, sizes } = read(node);
    return sizes.map((size) => ({ type, dims: dims.map((dim, i) => (i === axis ? size : dim)) }));
  },
  evaluate(node) {
    const { dims } = operand(node, 0);
    const { axis, sizes } = read(node);
    const strides = stridesOf(dims);
    let offset = 0;
    return sizes.map((size) => {
      const first = offset;
      offset += size;
      const part = dims.map((dim, i) => (i === axis ? size : dim));
      return rearrange(tensorAt(node, 0), part, (index) =>
        index.reduce((sum, at, i) => sum + (i === axis ? at + first : at) * (strides[i] as number), 0),
      );
    });
  },
  isPerImage: (node) => namedAxis(node) !== 0,
  lower: (node) => ({ op: 'split', inputs: [0], attributes: read(node) }),
});

function read(node: OpNode<typeof attributes>): { axis: number; sizes: number[] } {
  const { dims } = operand(node, 0);
  const axis = namedAxis(node);
  const length = dims[axis] as number;
  const count = node.node.outputs.length;
  const { num_outputs: told = count } = node.attributes;
  if (told !== count) throw unfit(node, `${told} outputs, as num_outputs says`, String(count));
  const each = Math.ceil(length / count);
  const sizes =
    constantList(node, 1) ?? Array.from({ length: count }, (_, i) => Math.max(0, Math.min(each, length - i * each)));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (sizes.length === count && total === length && sizes.every((size) => size >= 0)) return { axis, sizes };
  throw unfit(node, `${count} lengths with a sum of ${length}`, describeList(sizes));
}
