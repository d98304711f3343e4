import { anyAbove, bestOf, type Decoder, FoundBoxes } from './decoder';

/** Keeps rounding from deciding. */
const almost = 1 - 2 ** -40;

/** Columns before the classes: centre, size, and whether there is an object at all. */
const head = 5;

/** YOLOv6 as its exporter writes it, and YOLOv5: one row for each anchor. */
export const yolov6: Decoder = {
  outputs: '[1, anchors, 5 + classes]',
  fill: 114,
  scaling: [0, 1],
  classesIn: ([shape, ...others]) => {
    const [count = 0, anchors = 0, columns = 0] = shape ?? [];
    const fits = others.length === 0 && shape?.length === 3 && count === 1 && columns > head && anchors >= columns;
    return fits ? columns - head : undefined;
  },
  decode: (outputs, _size, threshold) => {
    const [{ data, dims }] = outputs as [(typeof outputs)[number]];
    const columns = dims[2] as number;
    const found = new FoundBoxes();
    for (let row = 0; row < data.length; row += columns) {
      const anything = data[row + 4] as number;
      if (!(anything > threshold)) continue; // scores of classes are at most 1
      if (!anyAbove(data, row + head, row + columns, (threshold / anything) * almost)) continue;
      const label = bestOf(data, row + head, columns - head);
      const score = anything * (data[row + head + label] as number);
      if (!(score > threshold)) continue;
      const width = data[row + 2] as number;
      const height = data[row + 3] as number;
      found.add((data[row] as number) - width / 2, (data[row + 1] as number) - height / 2, width, height, score, label);
    }
    return found;
  },
};
