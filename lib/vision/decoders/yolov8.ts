import { bestOf, type Decoder, FoundBoxes } from './decoder';

/** YOLOv8 and its successors: one column for each anchor. */
export const yolov8: Decoder = {
  outputs: '[1, 4 + classes, anchors]',
  fill: 114,
  scaling: [0, 1],
  classesIn: ([shape, ...others]) => {
    const [count = 0, rows = 0, anchors = 0] = shape ?? [];
    const fits = others.length === 0 && shape?.length === 3 && count === 1 && rows > 4 && anchors > rows;
    return fits ? rows - 4 : undefined;
  },
  decode: (outputs, _size, threshold) => {
    const [{ data, dims }] = outputs as [(typeof outputs)[number]];
    const [, rows, anchors] = dims as [number, number, number];
    // Row by row, as the numbers lie in memory.
    const best = data.slice(4 * anchors, 5 * anchors);
    for (let row = 5; row < rows; row++) {
      const first = row * anchors;
      for (let i = 0; i < anchors; i++) {
        if ((data[first + i] as number) > (best[i] as number)) best[i] = data[first + i] as number;
      }
    }
    const found = new FoundBoxes();
    for (let i = 0; i < anchors; i++) {
      const score = best[i] as number;
      if (!(score > threshold)) continue;
      const label = bestOf(data, 4 * anchors + i, rows - 4, anchors);
      const [x, y, width, height] = [0, 1, 2, 3].map((row) => data[row * anchors + i]) as [
        number,
        number,
        number,
        number,
      ];
      found.add(x - width / 2, y - height / 2, width, height, score, label);
    }
    return found;
  },
};
