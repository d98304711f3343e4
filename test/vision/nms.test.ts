import { readFileSync } from 'node:fs';
import path from 'node:path';
import { nonMaxSuppression } from '../../lib/vision';
import { root } from '../support/child';
import { expectRefusal } from '../support/refusal';

interface Case {
  boxes: number[][];
  scores: number[];
  scoreThreshold: number;
  iouThreshold: number;
  kept: number[];
}

/** Made by OpenCV: test/fixtures/make_nms_fixture.py. */
const { cases } = JSON.parse(readFileSync(path.join(root, 'test/fixtures/nms.json'), 'utf8')) as { cases: Case[] };

test('the boxes that OpenCV keeps', () => {
  for (const { boxes, scores, kept, ...thresholds } of cases) {
    expect([thresholds, nonMaxSuppression(boxes, scores, thresholds)]).toEqual([thresholds, kept]);
    expect(nonMaxSuppression(Float64Array.from(boxes.flat()), scores, thresholds)).toEqual(kept);
  }
});

test('classes do not meet', () => {
  for (const { boxes, scores, ...rest } of cases) {
    const thresholds = { scoreThreshold: rest.scoreThreshold, iouThreshold: rest.iouThreshold };
    const classes = boxes.map((_, i) => (i * 7) % 3);
    const alone = [0, 1, 2].flatMap((wanted) => {
      const own = [...boxes.keys()].filter((i) => classes[i] === wanted);
      const kept = nonMaxSuppression(
        own.map((i) => boxes[i] as number[]),
        own.map((i) => scores[i] as number),
        thresholds,
      );
      return kept.map((k) => own[k] as number);
    });
    const together = nonMaxSuppression(boxes, scores, { ...thresholds, classes });
    expect([...together].sort((a, b) => a - b)).toEqual(alone.sort((a, b) => a - b));
    const order = together.map((i) => scores[i] as number);
    expect(order).toEqual([...order].sort((a, b) => b - a));
  }
});

test('a limit keeps the best', () => {
  const boxes = [
    [0, 0, 1, 1],
    [2, 0, 1, 1],
    [4, 0, 1, 1],
  ];
  expect(nonMaxSuppression(boxes, [0.1, 0.3, 0.2], { maxDetections: 2 })).toEqual([1, 2]);
});

test('what is not finite is left out', () => {
  const boxes = [
    [0, 0, 1, 1],
    [5, Number.NaN, 1, 1],
    [9, 0, Number.POSITIVE_INFINITY, 1],
    [20, 0, 1, 1],
  ];
  expect(nonMaxSuppression(boxes, [0.5, 0.9, 0.9, Number.NaN])).toEqual([0]);
  expect(nonMaxSuppression([], [])).toEqual([]);
  expect(nonMaxSuppression([[0, 0, 1, 1]], [-0], { scoreThreshold: -1 })).toEqual([0]);
});

test('lists that do not fit are refused', () => {
  expectRefusal(() => nonMaxSuppression([1, 2, 3], [0.5]), 'ERR_INVALID_ARG', '4 numbers for each of 1 scores');
  expectRefusal(() => nonMaxSuppression([[1, 2, 3]], [0.5]), 'ERR_INVALID_ARG', 'boxes[0]');
  expectRefusal(() => nonMaxSuppression([1, 2, 3, 4], [0.5], { classes: [1, 2] }), 'ERR_INVALID_ARG', 'classes');
  expectRefusal(() => nonMaxSuppression([1, 2, 3, 4], [0.5], { iouThreshold: 2 }), 'ERR_INVALID_ARG', 'iouThreshold');
  expectRefusal(() => nonMaxSuppression('boxes' as never, [0.5]), 'ERR_INVALID_ARG', 'an array of numbers');
});

/** Boxes of all sizes, many of them over each other, of some aspect ratios; with ties, empty ones and odd ones. */
function crowd(count: number, seed: number): { boxes: number[][]; scores: number[]; classes: number[] } {
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const boxes = Array.from({ length: count }, (_, i) => {
    const [side, ratio] = [2 * 200 ** random(), 3 ** (2 * random() - 1)];
    const [x, y] = i % 3 === 0 ? [640 * random(), 640 * random()] : [300 + 9 * random(), 200 + 9 * random()];
    if (i % 97 === 0) return [x, y, 0, side];
    if (i % 89 === 0) return [x, y, -side, side];
    if (i % 83 === 0) return [x, y, 1e5 * side, 1e-4];
    if (i % 79 === 0) return [x * 1e12, y, side * 1e3, side];
    return [x, y, side * ratio, side / ratio];
  });
  return {
    boxes,
    scores: boxes.map(() => Math.round(500 * random()) / 500),
    classes: boxes.map(() => Math.floor(4 * random())),
  };
}

/** Each box against all that are kept. */
function naive({ boxes, scores, classes }: ReturnType<typeof crowd>, threshold: number): number[] {
  const order = [...boxes.keys()].filter((i) => (scores[i] as number) > 0);
  order.sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
  const area = ([, , w, h]: number[]) => (w as number) * (h as number);
  const overlap = (a: number[], b: number[]) => {
    if (area(a) === 0 && area(b) === 0) return 1;
    const [width, height] = [0, 1].map((axis) => {
      const [x, u] = [a[axis] as number, b[axis] as number];
      return Math.min(x + (a[axis + 2] as number), u + (b[axis + 2] as number)) - Math.max(x, u);
    }) as [number, number];
    if (!(width > 0 && height > 0)) return 0;
    const shared = width * height;
    return Math.fround(1 - Math.fround(1 - shared / (area(a) + area(b) - shared)));
  };
  const kept: number[] = [];
  for (const i of order) {
    const meets = (j: number) =>
      classes[i] === classes[j] && overlap(boxes[i] as number[], boxes[j] as number[]) > Math.fround(threshold);
    if (!kept.some(meets)) kept.push(i);
  }
  return kept;
}

test.each([0, 0.05, 0.3, 0.45, 0.7, 0.9, 1])('of 700 boxes the same as by comparing all, threshold %p', (threshold) => {
  for (const seed of [1, 2]) {
    const { boxes, scores, classes } = crowd(700, seed);
    expect(nonMaxSuppression(boxes, scores, { classes, iouThreshold: threshold })).toEqual(
      naive({ boxes, scores, classes }, threshold),
    );
    const one = boxes.map(() => 0);
    const all = naive({ boxes, scores, classes: one }, threshold);
    expect(nonMaxSuppression(boxes, scores, { iouThreshold: threshold })).toEqual(all);
    expect(nonMaxSuppression(boxes, scores, { iouThreshold: threshold, maxDetections: 7 })).toEqual(all.slice(0, 7));
  }
});
