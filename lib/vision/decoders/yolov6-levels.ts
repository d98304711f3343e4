import { bestOf, type Decoder, FoundBoxes, type Output } from './decoder';

/** A level of the pyramid: scores [1, classes, h, w], and distances from cells to the four sides of boxes [1, 4, h, w]. */
interface Level<T> {
  readonly scores: T;
  readonly distances: T;
}

/** YOLOv6 without the tail that makes boxes: two maps for each level, in any order within a level. */
export const yolov6Levels: Decoder = {
  outputs: 'for each level [1, classes, h, w] and [1, 4, h, w]',
  fill: 114,
  scaling: [0, 1],
  classesIn: (shapes) => {
    if (shapes.length === 0 || shapes.some((shape) => shape.length !== 4 || shape[0] !== 1)) return undefined;
    const levels = levelsIn(shapes, (shape) => shape);
    const classes = levels?.[0]?.scores[1];
    return levels?.every(({ scores }) => scores[1] === classes) ? classes : undefined;
  },
  decode: (outputs, size, threshold) => {
    const found = new FoundBoxes();
    for (const { scores, distances } of levelsIn(outputs, ({ dims }) => dims) ?? []) {
      const [, classes, height, width] = scores.dims as [number, number, number, number];
      const area = height * width;
      const [strideX, strideY] = [size.width / width, size.height / height];
      const best = bestScores(scores, classes, area);
      for (let i = 0; i < area; i++) {
        const score = best[i] as number;
        if (!(score > threshold)) continue;
        const label = bestOf(scores.data, i, classes, area);
        const side = (which: number): number => distances.data[which * area + i] as number;
        const [x, y] = [(i % width) + 0.5, Math.floor(i / width) + 0.5];
        const [left, top, right, bottom] = [x - side(0), y - side(1), x + side(2), y + side(3)];
        found.add(left * strideX, top * strideY, (right - left) * strideX, (bottom - top) * strideY, score, label);
      }
    }
    return found;
  },
};

/** Plane by plane, as the numbers lie in memory. */
function bestScores({ data }: Output, classes: number, area: number): Float32Array {
  const best = data.slice(0, area);
  for (let plane = 1; plane < classes; plane++) {
    for (let i = 0, at = plane * area; i < area; i++, at++) {
      if ((data[at] as number) > (best[i] as number)) best[i] = data[at] as number;
    }
  }
  return best;
}

/** Pairs of maps of one size; where both have four channels, the first is the scores. */
function levelsIn<T>(outputs: readonly T[], dimsOf: (output: T) => readonly number[]): Level<T>[] | undefined {
  const bySize = new Map<string, T[]>();
  for (const output of outputs) {
    const size = dimsOf(output).slice(2).join();
    bySize.set(size, [...(bySize.get(size) ?? []), output]);
  }
  const levels = [...bySize.values()].map((pair) => {
    const [first, second] = pair as [T, T];
    if (pair.length !== 2) return undefined;
    if (dimsOf(second)[1] === 4) return { scores: first, distances: second };
    return dimsOf(first)[1] === 4 ? { scores: second, distances: first } : undefined;
  });
  return levels.every((level) => level !== undefined) ? levels : undefined;
}
