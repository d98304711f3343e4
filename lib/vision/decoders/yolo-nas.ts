import { anyAbove, bestOf, type Decoder, FoundBoxes } from './decoder';

/** YOLO-NAS as super-gradients exports it: corners of boxes, and scores. */
export const yoloNas: Decoder = {
  outputs: '[1, anchors, 4] and [1, anchors, classes]',
  fill: 114,
  scaling: [0, 1],
  classesIn: (shapes) => {
    const [boxes, scores] = shapes;
    const fits =
      shapes.length === 2 &&
      shapes.every(({ length }) => length === 3) &&
      boxes?.[0] === 1 &&
      boxes[2] === 4 &&
      boxes[1] === scores?.[1];
    return fits ? scores?.[2] : undefined;
  },
  decode: (outputs, _size, threshold) => {
    const [boxes, scores] = outputs as [(typeof outputs)[number], (typeof outputs)[number]];
    const [, anchors, classes] = scores.dims as [number, number, number];
    const found = new FoundBoxes();
    for (let i = 0; i < anchors; i++) {
      if (!anyAbove(scores.data, i * classes, (i + 1) * classes, threshold)) continue;
      const label = bestOf(scores.data, i * classes, classes);
      const score = scores.data[i * classes + label] as number;
      if (!(score > threshold)) continue;
      const [left, top, right, bottom] = boxes.data.subarray(4 * i, 4 * i + 4) as unknown as [
        number,
        number,
        number,
        number,
      ];
      found.add(left, top, right - left, bottom - top, score, label);
    }
    return found;
  },
};
