/** Numbers of a kept box: left, top, right, bottom, area. */
const columns = 5;

/** Boxes whose areas differ by a factor are on different levels. */
const maxLevels = 32;
/** The factor is no larger where boxes of very different areas may meet, so that cells fit their boxes. */
const maxFactor = 4;
/** Nor smaller where only boxes that are alike meet. */
const minFactor = 1.5;
/** Sides of cells, as a share of the side of the largest square of a level. */
const cellShare = 0.8;
/** Groups up to this size are searched box by box. */
const fewBoxes = 12;
/** Overlaps are rounded to float32. */
const margin = 1e-3;
/** Beyond this, numbers of cells are not exact. */
const maxCell = 2 ** 30;

/**
 * Boxes that stay. Boxes of different groups never meet. A box is compared only with boxes of a similar area near it: boxes
 * that overlap by more
 * than the threshold t have areas that differ by less than 1 / t. So boxes are sorted into levels by area, within a level
 * into cells
 * by their centres, and the cells are in a hash table. A collision in the table costs time and changes nothing.
 */
export class KeptBoxes {
  readonly #threshold: number;
  readonly #least: number;
  readonly #largest: number;
  readonly #perLevel: number;
  /** Levels up and down on which boxes may meet. */
  readonly #span: number;
  /** For each level: cells per pixel, and the longest sides of its boxes; 0 where there are none. */
  readonly #density = new Float64Array(maxLevels);
  readonly #widths = new Float64Array(maxLevels);
  readonly #heights = new Float64Array(maxLevels);
  readonly #boxes: Float64Array;
  readonly #groups: Int32Array;
  /** The box that came last to each place of the table, and the one before each box. */
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  /** The same for groups. */
  readonly #groupHeads: number[] = [];
  readonly #groupNext: Int32Array;
  readonly #groupSizes: number[] = [];
  readonly #hasEmpty: boolean[] = [];
  #count = 0;

  /** @param most How many boxes may come. @param largest Their largest area. @param threshold Float32 from 0 to 1. */
  constructor(most: number, largest: number, threshold: number) {
    this.#threshold = threshold;
    this.#least = Math.max(0, threshold - margin);
    this.#largest = largest;
    const factor = Math.max(minFactor, Math.min(maxFactor, 1 / this.#least));
    this.#perLevel = 1 / Math.log(factor);
    this.#span = Math.min(maxLevels, Math.ceil(Math.log(1 / this.#least) * this.#perLevel));
    for (let level = 0; level < maxLevels; level++) {
      this.#density[level] = 1 / (cellShare * Math.sqrt(largest / factor ** level));
    }
    this.#boxes = new Float64Array(columns * most);
    this.#groups = new Int32Array(most);
    this.#heads = new Int32Array(2 ** Math.ceil(Math.log2(2 * most + 1))).fill(-1);
    this.#next = new Int32Array(most);
    this.#groupNext = new Int32Array(most);
  }

  /** Keeps a box that overlaps none of its group by more than the threshold; false for one that does. */
  add(x: number, y: number, width: number, height: number, group: number): boolean {
    const area = width * height;
    if (area === 0) {
      // To OpenCV, all boxes without an area are the same.
      const isFirst = this.#hasEmpty[group] !== true || this.#threshold >= 1;
      this.#hasEmpty[group] = true;
      return isFirst;
    }
    // A box with no area or an infinite one overlaps nothing.
    if (!(width > 0 && height > 0 && area < Number.POSITIVE_INFINITY)) return true;
    const size = this.#groupSizes[group] ?? 0;
    const level = Math.min(maxLevels - 1, Math.max(0, Math.floor(Math.log(this.#largest / area) * this.#perLevel)));
    const right = x + width;
    const bottom = y + height;
    const meets =
      size <= fewBoxes
        ? this.#meetsAny(x, y, right, bottom, area, group)
        : this.#meetsNear(x, y, right, bottom, area, group, level);
    if (meets) return false;
    const i = this.#count++;
    const at = columns * i;
    const boxes = this.#boxes;
    boxes[at] = x;
    boxes[at + 1] = y;
    boxes[at + 2] = right;
    boxes[at + 3] = bottom;
    boxes[at + 4] = area;
    this.#groups[i] = group;
    const density = this.#density[level] as number;
    const place = this.#placeOf(
      group,
      level,
      Math.floor((x + width / 2) * density),
      Math.floor((y + height / 2) * density),
    );
    this.#next[i] = this.#heads[place] as number;
    this.#heads[place] = i;
    this.#groupNext[i] = this.#groupHeads[group] ?? -1;
    this.#groupHeads[group] = i;
    this.#groupSizes[group] = size + 1;
    this.#widths[level] = Math.max(this.#widths[level] as number, width);
    this.#heights[level] = Math.max(this.#heights[level] as number, height);
    return true;
  }

  #placeOf(group: number, level: number, column: number, row: number): number {
    const hash =
      Math.imul(column, 0x9e3779b1) ^ Math.imul(row, 0x85ebca6b) ^ Math.imul(maxLevels * group + level, 0xc2b2ae35);
    return (hash ^ (hash >>> 15)) & (this.#heads.length - 1);
  }

  #meetsNear(
    left: number,
    top: number,
    right: number,
    bottom: number,
    area: number,
    group: number,
    own: number,
  ): boolean {
    // No destructuring here and below: it would take half of the time.
    const width = right - left;
    const height = bottom - top;
    const x = left + width / 2;
    const y = top + height / 2;
    const most = this.#groupSizes[group] as number;
    // Its own level first: there most boxes find one that is better.
    for (let step = 0; step <= 2 * this.#span; step++) {
      const level = own + (step % 2 === 0 ? step / 2 : -(step + 1) / 2);
      if (level < 0 || level >= maxLevels || this.#widths[level] === 0) continue;
      const density = this.#density[level] as number;
      const reachX = reach(width, this.#widths[level] as number, this.#least, x);
      const reachY = reach(height, this.#heights[level] as number, this.#least, y);
      const firstColumn = Math.floor((x - reachX) * density);
      const lastColumn = Math.floor((x + reachX) * density);
      const firstRow = Math.floor((y - reachY) * density);
      const lastRow = Math.floor((y + reachY) * density);
      const isCountable = Math.max(-firstColumn, lastColumn, -firstRow, lastRow) < maxCell;
      const cells = (lastColumn - firstColumn + 1) * (lastRow - firstRow + 1);
      if (!isCountable || cells > most) {
        return this.#meetsAny(left, top, right, bottom, area, group);
      }
      for (let row = firstRow; row <= lastRow; row++) {
        for (let column = firstColumn; column <= lastColumn; column++) {
          const head = this.#heads[this.#placeOf(group, level, column, row)] as number;
          if (head >= 0 && this.#meetsIn(head, this.#next, left, top, right, bottom, area, group)) return true;
        }
      }
    }
    return false;
  }

  #meetsAny(left: number, top: number, right: number, bottom: number, area: number, group: number): boolean {
    const head = this.#groupHeads[group] ?? -1;
    return this.#meetsIn(head, this.#groupNext, left, top, right, bottom, area, group);
  }

  /** Whether a box of a chain overlaps by more than the threshold. */
  #meetsIn(
    head: number,
    next: Int32Array,
    left: number,
    top: number,
    right: number,
    bottom: number,
    area: number,
    group: number,
  ): boolean {
    const boxes = this.#boxes;
    for (let i = head; i >= 0; i = next[i] as number) {
      const at = columns * i;
      const width = Math.min(boxes[at + 2] as number, right) - Math.max(boxes[at] as number, left);
      if (width <= 0) continue;
      const height = Math.min(boxes[at + 3] as number, bottom) - Math.max(boxes[at + 1] as number, top);
      if (height <= 0) continue;
      const shared = width * height;
      const union = area + (boxes[at + 4] as number) - shared;
      if (shared <= this.#least * union) continue;
      // Rounded where OpenCV rounds.
      const overlap = Math.fround(1 - Math.fround(1 - shared / union));
      if (overlap > this.#threshold && this.#groups[i] === group) return true;
    }
    return false;
  }
}

/**
 * How far apart centres can be along an axis for boxes that overlap by more than t: along it they share more than t times
 * the longer
 * side, and neither is longer than 1 / t times the other. Coordinates far from 0 are rounded.
 */
function reach(side: number, longest: number, t: number, place: number): number {
  const other = Math.min(longest, side / t);
  return Math.max(side * (1 - t), side / 2 + other * (0.5 - t)) + Math.abs(place) * 2 ** -48;
}
