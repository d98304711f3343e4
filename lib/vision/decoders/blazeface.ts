import { type Decoder, FoundBoxes, type Output } from './decoder';

/** Grids of anchors: cells along a side, and anchors in a cell. */
const grids = [
  { cells: 16, anchors: 2 },
  { cells: 8, anchors: 6 },
] as const;
const anchorCount = grids.reduce((sum, { cells, anchors }) => sum + cells * cells * anchors, 0);

/** Numbers of an anchor: a box, and six points of the face. */
const columns = 16;

/** MediaPipe's BlazeFace, for the front and the back camera: a single-shot detector with fixed anchors of one size. */
export const blazeFace: Decoder = {
  outputs: `[1, ${anchorCount}, 1] and [1, ${anchorCount}, ${columns}], or a pair for each grid of anchors`,
  fill: 0,
  scaling: [0.5, 0.5],
  classesIn: (shapes) => {
    const rows = (of: number): number =>
      shapes
        .filter((shape) => shape.length === 3 && shape[0] === 1 && shape[2] === of)
        .reduce((sum, shape) => sum + (shape[1] as number), 0);
    const fits = shapes.every((shape) => shape.length === 3 && (shape[2] === 1 || shape[2] === columns));
    return fits && rows(1) === anchorCount && rows(columns) === anchorCount ? 1 : undefined;
  },
  decode: (outputs, size, threshold) => {
    const [scores, boxes] = [join(outputs, 1), join(outputs, columns)];
    const found = new FoundBoxes();
    let i = 0;
    for (const { cells, anchors } of grids) {
      for (let cell = 0; cell < cells * cells; cell++) {
        const [x, y] = [((cell % cells) + 0.5) / cells, (Math.floor(cell / cells) + 0.5) / cells];
        for (let anchor = 0; anchor < anchors; anchor++, i++) {
          const score = 1 / (1 + Math.exp(-(scores[i] as number)));
          if (!(score > threshold)) continue;
          const [dx, dy, width, height] = boxes.subarray(columns * i, columns * i + 4) as unknown as [
            number,
            number,
            number,
            number,
          ];
          found.add(x * size.width + dx - width / 2, y * size.height + dy - height / 2, width, height, score, 0);
        }
      }
    }
    return found;
  },
};

/** All rows of `of` columns, those of the finer grid first. */
function join(outputs: readonly Output[], of: number): Float32Array {
  const parts = outputs.filter(({ dims }) => dims[2] === of).sort((a, b) => b.data.length - a.data.length);
  const joined = new Float32Array(parts.reduce((sum, { data }) => sum + data.length, 0));
  let at = 0;
  for (const { data } of parts) {
    joined.set(data, at);
    at += data.length;
  }
  return joined;
}
