import { sizeOf } from '../graph';
import { rearrange } from '../tensors';
import { Writer } from './builder';
import { axisOf, constantList, defineOp, type OpNode, operand, optionalAttribute, tensorAt } from './op';

const attributes = { axis: optionalAttribute('int') };

/** Those parts of x for which the second input is true: along an axis, or of all elements. The input may be shorter. */
export const compress = defineOp({
  onnx: 'Compress',
  inputs: [2, 2],
  parameters: [1],
  attributes,
  afterRun: 'of inputs',
  infer(node) {
    const { axis, dims } = compressed(node);
    const kept = dims.map((dim, i) => (i === axis ? positionsOf(node, dim).length : dim));
    return [{ type: operand(node, 0).type, dims: kept }];
  },
  writeOut(node, builder) {
    const { axis, dims } = compressed(node);
    const write = new Writer(node.node, builder);
    const positions = positionsOf(node, dims[axis] as number);
    const [x = ''] = node.node.inputs;
    const source = node.attributes.axis === undefined ? write.reshape(x, [-1]) : x;
    return write.last('gather', [source, write.integers(positions)], { axis });
  },
  evaluate(node) {
    const { axis, dims } = compressed(node);
    const positions = positionsOf(node, dims[axis] as number);
    const kept = dims.map((dim, i) => (i === axis ? positions.length : dim));
    const source = { ...tensorAt(node, 0), dims };
    return [
      rearrange(source, kept, (index) =>
        index.reduce((at, i, k) => at * (dims[k] as number) + (k === axis ? (positions[i] as number) : i), 0),
      ),
    ];
  },
});

/** The axis, and the dims that it is one of. */
function compressed(node: OpNode<typeof attributes>): { axis: number; dims: readonly number[] } {
  const { dims } = operand(node, 0);
  const { axis } = node.attributes;
  return axis === undefined ? { axis: 0, dims: [sizeOf(dims)] } : { axis: axisOf(node, axis, dims.length), dims };
}

function positionsOf(node: OpNode, length: number): number[] {
  const list = (constantList(node, 1) ?? []).slice(0, length);
  return list.flatMap((value, i) => (value ? [i] : []));
}
