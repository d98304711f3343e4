import { describeList } from '../../errors';
import { rearrange, stridesOf } from '../tensors';
import { axisOf, constantList, defineOp, type OpNode, operand, tensorAt, unfit } from './op';

/** Inputs: x, starts, ends, axes, steps. */
export const slice = defineOp({
  onnx: 'Slice',
  inputs: [3, 5],
  parameters: [1, 2, 3, 4],
  attributes: {},
  moved: [
    { attribute: 'starts', input: 1, opset: 10 },
    { attribute: 'ends', input: 2, opset: 10 },
    { attribute: 'axes', input: 3, opset: 10 },
  ],
  infer: (node) => [{ type: operand(node, 0).type, dims: sliceOf(node).sizes }],
  evaluate(node) {
    const { dims } = operand(node, 0);
    const { starts, sizes, steps } = sliceOf(node);
    const strides = stridesOf(dims);
    const pick = (index: readonly number[]): number =>
      index.reduce(
        (sum, at, i) => sum + ((starts[i] as number) + at * (steps[i] as number)) * (strides[i] as number),
        0,
      );
    return [rearrange(tensorAt(node, 0), sizes, pick)];
  },
  isPerImage: takesAll,
  lower: (node) => ({ op: 'slice', inputs: [0], attributes: { ...sliceOf(node) } }),
});

/** All images, however many: a slice of the first two would take all of one image and of two, but not of three. */
function takesAll(node: OpNode): boolean {
  const [x, ...rest] = node.inputs;
  if (!x) return false;
  const images = 2 ** 31;
  const inputs = [{ ...x, dims: [images, ...x.dims.slice(1)] }, ...rest];
  const { starts, sizes, steps } = sliceOf({ ...node, inputs });
  return starts[0] === 0 && sizes[0] === images && steps[0] === 1;
}

interface SliceRange {
  readonly starts: number[];
  readonly sizes: number[];
  readonly steps: number[];
}

/** For every axis, the first element, the number of elements, and the step between them. */
function sliceOf(node: OpNode): SliceRange {
  const { dims } = operand(node, 0);
  const [starts = [], ends = []] = [constantList(node, 1), constantList(node, 2)];
  const axes = (constantList(node, 3) ?? starts.map((_, i) => i)).map((axis) => axisOf(node, axis, dims.length));
  const steps = constantList(node, 4) ?? starts.map(() => 1);
  const lists = [starts, ends, axes, steps];
  if (lists.some((list) => list.length !== starts.length) || steps.includes(0) || new Set(axes).size !== axes.length) {
    throw unfit(node, 'starts, ends, axes and steps of one length, no step 0', lists.map(describeList).join(', '));
  }
  const range: SliceRange = { starts: dims.map(() => 0), sizes: [...dims], steps: dims.map(() => 1) };
  axes.forEach((axis, i) => {
    const [length, step] = [dims[axis] as number, steps[i] as number];
    const place = (at: number, low: number, high: number): number =>
      Math.min(high, Math.max(low, at < 0 ? at + length : at));
    const start = step > 0 ? place(starts[i] as number, 0, length) : place(starts[i] as number, 0, length - 1);
    const end = step > 0 ? place(ends[i] as number, 0, length) : place(ends[i] as number, -1, length - 1);
    range.starts[axis] = start;
    range.sizes[axis] = Math.max(0, Math.ceil((end - start) / step));
    range.steps[axis] = step;
  });
  return range;
}
