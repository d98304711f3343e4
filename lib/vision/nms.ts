import { types } from 'node:util';
import { boundary, describe, mismatch, within } from '../errors';
import { anything, integer, number, parseOptions, readForeign } from '../options';
import { KeptBoxes } from './kept-boxes';
import { fallingOrder } from './score-order';

/** Options of {@link nonMaxSuppression}. */
export interface SuppressionOptions {
  /** A box is dropped if it overlaps a better one by more than this. @default 0.45 */
  readonly iouThreshold?: number;
  /** Boxes with this score or less are dropped. @default 0 */
  readonly scoreThreshold?: number;
  /** The class of each box, as a number: boxes of different classes may overlap. @default all of one class */
  readonly classes?: ArrayLike<number>;
  /** The most boxes to keep. @default all */
  readonly maxDetections?: number;
}

/** Boxes [x, y, width, height]: one after another in a flat array, or each an array. */
export type Boxes = ArrayLike<number> | readonly (readonly number[])[];

const maxBoxes = 2 ** 21;

const fields = {
  iouThreshold: number(0, 1, 0.45),
  scoreThreshold: number(-Number.MAX_VALUE, Number.MAX_VALUE, 0),
  classes: anything,
  maxDetections: integer(1, maxBoxes, maxBoxes),
};

/**
 * Greedy non-maximum suppression: of boxes that overlap, the one with the best score stays. Keeps the same boxes as OpenCV's
 * `NMSBoxes`. Boxes and scores that are not finite are dropped.
 *
 * @returns Indices of the boxes that stay, best score first; equal scores keep their order.
 * @throws {QARepVGGError} ERR_INVALID_ARG for lists of different lengths, and naming the option; ERR_LIMIT above 2^21 boxes.
 *
 * @example
 * nonMaxSuppression([[0, 0, 10, 10], [1, 0, 10, 10], [50, 50, 9, 9]], [0.9, 0.8, 0.7]); // [0, 2]
 */
export function nonMaxSuppression(boxes: Boxes, scores: ArrayLike<number>, options: SuppressionOptions = {}): number[] {
  return boundary('nonMaxSuppression', () => {
    const { classes, ...thresholds } = parseOptions(fields, options);
    const list = within('scores', () => readNumbers(scores));
    if (list.length > maxBoxes) throw mismatch('ERR_LIMIT', `at most ${maxBoxes} boxes`, `${list.length}`);
    const flat = within('boxes', () => readNumbers(flatten(boxes)));
    if (flat.length !== 4 * list.length) {
      const expected = `4 numbers for each of ${list.length} scores`;
      throw mismatch('ERR_INVALID_ARG', 'boxes', expected, `${flat.length}`);
    }
    const groups = classes === undefined ? undefined : within('option classes', () => readNumbers(classes));
    if (groups && groups.length !== list.length) {
      throw mismatch('ERR_INVALID_ARG', 'option classes', `${list.length} numbers`, `${groups.length}`);
    }
    return suppress({ boxes: flat, scores: list, classes: groups }, thresholds);
  });
}

/** Checked candidates: boxes [x, y, width, height] one after another. */
export interface Candidates {
  readonly boxes: ArrayLike<number>;
  readonly scores: ArrayLike<number>;
  readonly classes: ArrayLike<number> | undefined;
}

/** Same as {@link nonMaxSuppression}. */
export function suppress(
  { boxes, scores, classes }: Candidates,
  {
    iouThreshold,
    scoreThreshold,
    maxDetections,
  }: { readonly iouThreshold: number; readonly scoreThreshold: number; readonly maxDetections: number },
): number[] {
  const order = fallingOrder(scores, boxes, Math.fround(scoreThreshold));
  const places: number[] = [];
  const kept = new KeptBoxes(order.length, largestArea(boxes, order), Math.fround(iouThreshold));
  const groups = new Map<number, number>();
  for (let rank = 0; rank < order.length && places.length < maxDetections; rank++) {
    const i = order[rank] as number;
    const x = boxes[4 * i] as number;
    const y = boxes[4 * i + 1] as number;
    const width = boxes[4 * i + 2] as number;
    const height = boxes[4 * i + 3] as number;
    if (kept.add(x, y, width, height, classes ? groupOf(groups, classes[i] as number) : 0)) places.push(i);
  }
  return places;
}

/** Numbers the classes from 0 in the order of their first box. */
function groupOf(groups: Map<number, number>, name: number): number {
  const known = groups.get(name);
  if (known !== undefined) return known;
  groups.set(name, groups.size);
  return groups.size - 1;
}

function largestArea(boxes: ArrayLike<number>, order: Int32Array): number {
  let largest = 0;
  for (let rank = 0; rank < order.length; rank++) {
    const i = 4 * (order[rank] as number);
    const area = (boxes[i + 2] as number) * (boxes[i + 3] as number);
    if (area > largest && area < Number.POSITIVE_INFINITY) largest = area;
  }
  return largest;
}

function flatten(boxes: Boxes): ArrayLike<number> {
  if (!Array.isArray(boxes) || boxes.length === 0 || typeof boxes[0] === 'number') return boxes as ArrayLike<number>;
  return readForeign(() =>
    boxes.flatMap((box, i) => {
      if (Array.isArray(box) && box.length === 4) return box as number[];
      throw mismatch('ERR_INVALID_ARG', `boxes[${i}]`, '[x, y, width, height]', describe(box));
    }),
  );
}

function readNumbers(value: unknown): Float64Array | Float32Array {
  if (types.isFloat32Array(value) || types.isFloat64Array(value)) return value;
  const isList =
    Array.isArray(value) ||
    (types.isTypedArray(value) && !types.isBigInt64Array(value) && !types.isBigUint64Array(value));
  if (!isList) throw mismatch('ERR_INVALID_ARG', 'an array of numbers', describe(value));
  return Float64Array.from(value as ArrayLike<number>, Number);
}
