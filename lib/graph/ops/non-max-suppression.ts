import { describeList } from '../../errors';
import type { GraphTensor } from '../graph';
import { numbersOf, tensorOf } from '../tensors';
import { attribute, constantNumber, defineOp, type OpNode, operand, unfit, unsupported } from './op';

const attributes = { center_point_box: attribute('int', 0) };

type NmsNode = OpNode<typeof attributes>;

/**
 * Boxes that do not overlap with better ones of their class, as rows [image, class, box]. Inputs: boxes [n, boxes, 4], scores
 * [n, classes, boxes], most boxes per class, largest overlap, lowest score.
 */
export const nonMaxSuppression = defineOp({
  onnx: 'NonMaxSuppression',
  inputs: [2, 5],
  attributes,
  afterRun: 'always',
  infer(node) {
    if (node.inputs.every((input) => input === undefined || input.tensor)) return [selected(node)];
    throw unsupported(node, 'a place at the end of the graph', 'one before nodes that the engine computes');
  },
  evaluate: (node) => [selected(node)],
});

/** `infer` needs the result, too, and `evaluate` follows it: computed once. */
const known = new WeakMap<OpNode, GraphTensor>();

function selected(node: NmsNode): GraphTensor {
  const before = known.get(node as OpNode);
  if (before) return before;
  const result = select(node);
  known.set(node as OpNode, result);
  return result;
}

function select(node: NmsNode): GraphTensor {
  const [boxes, scores] = [operand(node, 0), operand(node, 1)];
  const [images, classes, count] = scores.dims as [number, number, number];
  if (scores.dims.length !== 3 || boxes.dims.join() !== [images, count, 4].join()) {
    const received = `${describeList(boxes.dims)} and ${describeList(scores.dims)}`;
    throw unfit(node, 'boxes [n, count, 4] and scores [n, classes, count]', received);
  }
  const most = constantNumber(node, 2) ?? 0;
  const overlap = constantNumber(node, 3) ?? 0;
  const least = constantNumber(node, 4) ?? Number.NEGATIVE_INFINITY;
  const sides = cornersOf(numbersOf(boxes.tensor as GraphTensor), node.attributes.center_point_box === 1);
  const numbers = numbersOf(scores.tensor as GraphTensor);
  const rows: number[] = [];
  for (let row = 0; row < images * classes; row++) {
    const [image, start] = [Math.floor(row / classes), row * count];
    const candidates = Array.from({ length: count }, (_, box) => box).filter(
      (box) => (numbers[start + box] as number) > least,
    );
    // The sort is stable, so equal scores keep their order.
    candidates.sort((a, b) => (numbers[start + b] as number) - (numbers[start + a] as number));
    const kept: number[] = [];
    for (const box of candidates) {
      if (kept.length >= most) break;
      if (kept.every((other) => overlapOf(sides, image * count + box, image * count + other) <= overlap))
        kept.push(box);
    }
    for (const box of kept) rows.push(image, row % classes, box);
  }
  return tensorOf('int64', [rows.length / 3, 3], rows);
}

/** For each box, the lower and upper ends along both axes, and the area. */
function cornersOf(boxes: ArrayLike<number>, centred: boolean): Float64Array {
  const sides = new Float64Array((boxes.length / 4) * 5);
  for (let i = 0; 4 * i < boxes.length; i++) {
    const [a = 0, b = 0, c = 0, d = 0] = [0, 1, 2, 3].map((at) => boxes[4 * i + at] as number);
    const ends = centred
      ? [a - c / 2, b - d / 2, a + c / 2, b + d / 2]
      : [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];
    const [left = 0, top = 0, right = 0, bottom = 0] = ends;
    sides.set([left, top, right, bottom, (right - left) * (bottom - top)], 5 * i);
  }
  return sides;
}

/** Intersection over union of two boxes. */
function overlapOf(sides: Float64Array, a: number, b: number): number {
  const at = (box: number, side: number): number => sides[5 * box + side] as number;
  const width = Math.min(at(a, 2), at(b, 2)) - Math.max(at(a, 0), at(b, 0));
  const height = Math.min(at(a, 3), at(b, 3)) - Math.max(at(a, 1), at(b, 1));
  if (!(width > 0 && height > 0)) return 0;
  const shared = width * height;
  return shared / (at(a, 4) + at(b, 4) - shared);
}
