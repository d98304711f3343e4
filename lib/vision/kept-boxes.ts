/** Numbers of a kept box: left, top, right, bottom, area. */
const columns = 5;
/** And those of a glance: twice the centre, the size, the area times the threshold. */
const glances = 5;

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
/** What coordinates far from 0 lose, and more. */
const rounding = 2 ** -48;
/** Beyond this, numbers of cells are not exact. */
const maxCell = 2 ** 30;

/**
 * Boxes that stay. Boxes of different groups never meet. A box is compared only with boxes of a similar area near it:
 * boxes that overlap by more than the threshold t have areas that differ by less than 1 / t. So boxes are sorted into
 * levels by area, within a level into cells by their centres, and the cells are in a hash table. A collision in the
 * table costs time and changes nothing.
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
  readonly #glances: Float64Array;
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
    this.#glances = new Float64Array(glances * most);
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
    // Behind the boxes that stay: arguments that are no integers would each be an object.
    const i = this.#count;
    const at = columns * i;
    const boxes = this.#boxes;
    boxes[at] = x;
    boxes[at + 1] = y;
    boxes[at + 2] = x + width;
    boxes[at + 3] = y + height;
    boxes[at + 4] = area;
    const glance = glances * i;
    this.#glances[glance] = 2 * x + width;
    this.#glances[glance + 1] = 2 * y + height;
    this.#glances[glance + 2] = width + Math.abs(x) * rounding;
    this.#glances[glance + 3] = height + Math.abs(y) * rounding;
    this.#glances[glance + 4] = area * this.#least;
    if (size <= fewBoxes ? this.#meetsAny(group) : this.#meetsNear(group, level)) return false;
    this.#count++;
    this.#groups[i] = group;
    const density = this.#density[level] as number;
    const row = this.#rowOf(group, level, Math.floor((y + height / 2) * density));
    const place = (row + Math.floor((x + width / 2) * density)) & (this.#heads.length - 1);
    this.#next[i] = this.#heads[place] as number;
    this.#heads[place] = i;
    this.#groupNext[i] = this.#groupHeads[group] ?? -1;
    this.#groupHeads[group] = i;
    this.#groupSizes[group] = size + 1;
    this.#widths[level] = Math.max(this.#widths[level] as number, width);
    this.#heights[level] = Math.max(this.#heights[level] as number, height);
    return true;
  }

  /** Where column 0 of a row of cells is in the table, before its size is taken off. Columns follow each other. */
  #rowOf(group: number, level: number, row: number): number {
    const hash = Math.imul(row, 0x9e3779b1) ^ Math.imul(maxLevels * group + level + 1, 0x85ebca6b);
    return Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35) >> 2;
  }

  /** Whether the newest box meets one of its group in the cells around it. */
  #meetsNear(group: number, own: number): boolean {
    // No destructuring here and below: it would take half of the time.
    const at = columns * this.#count;
    const left = this.#boxes[at] as number;
    const top = this.#boxes[at + 1] as number;
    const width = (this.#boxes[at + 2] as number) - left;
    const height = (this.#boxes[at + 3] as number) - top;
    const x = left + width / 2;
    const y = top + height / 2;
    const most = this.#groupSizes[group] as number;
    const heads = this.#heads;
    const mask = heads.length - 1;
    // Its own level first: there most boxes find one that is better.
    for (let step = 0; step <= 2 * this.#span; step++) {
      const level = own + (step % 2 === 0 ? step / 2 : -(step + 1) / 2);
      if (level < 0 || level >= maxLevels || this.#widths[level] === 0) continue;
      const density = this.#density[level] as number;
      const reachX = reach(width, this.#widths[level] as number, this.#least, x);
      const reachY = reach(height, this.#heights[level] as number, this.#least, y);
      const far = Math.max(reachX - x, reachX + x, reachY - y, reachY + y) * density;
      const cells = (2 * reachX * density + 1) * (2 * reachY * density + 1);
      if (!(far < maxCell) || cells > most) return this.#meetsAny(group);
      const firstColumn = Math.floor((x - reachX) * density) | 0;
      const lastColumn = Math.floor((x + reachX) * density) | 0;
      const lastRow = Math.floor((y + reachY) * density) | 0;
      for (let row = Math.floor((y - reachY) * density) | 0; row <= lastRow; row++) {
        const start = this.#rowOf(group, level, row);
        for (let column = firstColumn; column <= lastColumn; column++) {
          const head = heads[(start + column) & mask] as number;
          if (head >= 0 && this.#meetsIn(head, this.#next, group)) return true;
        }
      }
    }
    return false;
  }

  #meetsAny(group: number): boolean {
    return this.#meetsIn(this.#groupHeads[group] ?? -1, this.#groupNext, group);
  }

  /** Whether the newest box overlaps one of a chain by more than the threshold. */
  #meetsIn(head: number, next: Int32Array, group: number): boolean {
    const numbers = this.#glances;
    const own = glances * this.#count;
    const x = numbers[own] as number;
    const y = numbers[own + 1] as number;
    const width = numbers[own + 2] as number;
    const height = numbers[own + 3] as number;
    const area = numbers[own + 4] as number;
    const factor = 4 / (1 + this.#least);
    for (let i = head; i >= 0; i = next[i] as number) {
      // A glance, with one branch that is easily foreseen: four times what two boxes of these centres share at most.
      const at = glances * i;
      const across = width + (numbers[at + 2] as number) - Math.abs(x - (numbers[at] as number));
      const down = height + (numbers[at + 3] as number) - Math.abs(y - (numbers[at + 1] as number));
      if (across * down <= factor * (area + (numbers[at + 4] as number))) continue;
      if (this.#overlapWith(i) > this.#threshold && this.#groups[i] === group) return true;
    }
    return false;
  }

  /** Of the newest box; rounded where OpenCV rounds. */
  #overlapWith(i: number): number {
    const boxes = this.#boxes;
    const at = columns * i;
    const own = columns * this.#count;
    const width =
      Math.min(boxes[at + 2] as number, boxes[own + 2] as number) - Math.max(boxes[at] as number, boxes[own] as number);
    const height =
      Math.min(boxes[at + 3] as number, boxes[own + 3] as number) -
      Math.max(boxes[at + 1] as number, boxes[own + 1] as number);
    if (width <= 0 || height <= 0) return 0;
    const shared = width * height;
    return Math.fround(1 - Math.fround(1 - shared / ((boxes[own + 4] as number) + (boxes[at + 4] as number) - shared)));
  }
}

/**
 * How far apart centres can be along an axis for boxes that overlap by more than t: along it they share more than t
 * times the longer side, and neither is longer than 1 / t times the other. Coordinates far from 0 are rounded.
 */
function reach(side: number, longest: number, t: number, place: number): number {
  const other = Math.min(longest, side / t);
  return Math.max(side * (1 - t), side / 2 + other * (0.5 - t)) + Math.abs(place) * rounding;
}
