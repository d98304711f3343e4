import { describe } from '../../errors';
import { type GraphTensor, sizeOf } from '../graph';
import { numbersOf, rearrange, tensorOf } from '../tensors';
import {
  attribute,
  axisOf,
  constantNumber,
  defineOp,
  namedAxis,
  type Op,
  type OpNode,
  operand,
  tensorAt,
  unfit,
} from './op';

/** The position of the largest or smallest number along an axis. */
function argOp(onnx: string, min: boolean): Op {
  return defineOp({
    onnx,
    inputs: [1, 1],
    attributes: { axis: attribute('int', 0), keepdims: attribute('int', 1), select_last_index: attribute('int', 0) },
    infer(node) {
      const { dims } = operand(node, 0);
      const axis = namedAxis(node);
      const keep = node.attributes.keepdims !== 0;
      return [{ type: 'int64', dims: dims.flatMap((dim, i) => (i !== axis ? [dim] : keep ? [1] : [])) }];
    },
    isPerImage: (node) => namedAxis(node) !== 0,
    lower: (node) => ({
      op: 'argMax',
      attributes: {
        min,
        axis: namedAxis(node),
        keepDims: node.attributes.keepdims !== 0,
        last: node.attributes.select_last_index !== 0,
      },
    }),
  });
}

export const argMax = argOp('ArgMax', false);
export const argMin = argOp('ArgMin', true);

const topKAttributes = { axis: attribute('int', -1), largest: attribute('int', 1), sorted: attribute('int', 1) };

type TopKNode = OpNode<typeof topKAttributes>;

/** Inputs: x, k. Outputs: the k largest (or smallest) numbers in order, and their positions. */
export const topK = defineOp({
  onnx: 'TopK',
  inputs: [2, 2],
  parameters: [1],
  outputs: [2, 2],
  attributes: topKAttributes,
  moved: [{ attribute: 'k', input: 1, opset: 10 }],
  infer(node) {
    const { type, dims } = operand(node, 0);
    const axis = namedAxis(node);
    const count = constantNumber(node, 1) ?? 0;
    if (!(count >= 0 && count <= (dims[axis] as number)))
      throw unfit(node, `a count up to ${dims[axis]}`, describe(count));
    const kept = dims.map((dim, i) => (i === axis ? count : dim));
    return [
      { type, dims: kept },
      { type: 'int64', dims: kept },
    ];
  },
  isPerImage: (node) => namedAxis(node) !== 0,
  evaluate: largest,
  lower: (node) => ({
    op: 'topK',
    inputs: [0],
    attributes: {
      axis: namedAxis(node),
      k: constantNumber(node, 1) ?? 0,
      largest: node.attributes.largest !== 0,
    },
  }),
});

/** For tails, where counts are small. As in the engine, NaN counts as the largest number, and the first of equals comes first. */
function largest(node: TopKNode): GraphTensor[] {
  const { dims } = operand(node, 0);
  const axis = namedAxis(node);
  const count = constantNumber(node, 1) ?? 0;
  const [length, step] = [dims[axis] as number, sizeOf(dims.slice(axis + 1))];
  const kept = dims.map((dim, i) => (i === axis ? count : dim));
  const numbers = numbersOf(tensorAt(node, 0));
  const at = (position: number): number => Number(numbers[position]);
  const sign = node.attributes.largest === 0 ? -1 : 1;
  const isBefore = (a: number, b: number): number => sign * (rankOf(at(b)) - rankOf(at(a)) || at(b) - at(a) || 0);
  const sources = new Float64Array(sizeOf(kept));
  const positions = new Float64Array(sources.length);
  for (let line = 0; count > 0 && line < sources.length / count; line++) {
    const [outer, inner] = [Math.floor(line / step), line % step];
    const places = Array.from({ length }, (_, i) => (outer * length + i) * step + inner);
    const best = [...places].sort(isBefore).slice(0, count);
    best.forEach((place, i) => {
      const to = (outer * count + i) * step + inner;
      sources[to] = place;
      positions[to] = Math.floor(place / step) % length;
    });
  }
  let next = 0;
  const values = rearrange(tensorAt(node, 0), kept, () => sources[next++] as number);
  return [values, tensorOf('int64', kept, positions)];
}

/** NaN is larger than all other numbers. */
function rankOf(value: number): number {
  return Number.isNaN(value) ? 1 : 0;
}

/** Running sums. Inputs: x, axis. */
export const cumSum = defineOp({
  onnx: 'CumSum',
  inputs: [2, 2],
  parameters: [1],
  attributes: { exclusive: attribute('int', 0), reverse: attribute('int', 0) },
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
  isPerImage: (node) => summedAxis(node) !== 0,
  lower: (node) => ({
    op: 'cumSum',
    inputs: [0],
    attributes: {
      axis: summedAxis(node),
      exclusive: node.attributes.exclusive !== 0,
      reverse: node.attributes.reverse !== 0,
    },
  }),
});

function summedAxis(node: OpNode): number {
  return axisOf(node, constantNumber(node, 1) ?? 0, operand(node, 0).dims.length);
}
