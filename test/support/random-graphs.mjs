// Random ONNX graphs: every operator of convolutional networks, with random attributes, on values of random dims.

import { randn } from 'qarepvgg';
import { NetworkWriter } from '../../bench/lib/network-writer.mjs';
import { tensorSteps } from './random-tensor-steps.mjs';
import { windowSteps } from './random-window-steps.mjs';

/** @typedef {{ name: string, dims: number[] }} Value */

/** xorshift: numbers from 0 to 1, the same for the same seed. */
class Draw {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = (Math.imul(seed + 1, 2654435761) ^ 0x9e3779b9) >>> 0 || 1;
    for (let i = 0; i < 8; i++) this.unit();
  }

  unit() {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state / 2 ** 32;
  }

  /** From low to high. @param {number} low @param {number} high */
  int(low, high) {
    return low + Math.floor(this.unit() * (high - low + 1));
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  one(list) {
    return /** @type {T} */ (list[this.int(0, list.length - 1)]);
  }

  /** 0 to length - 1, in any order. @param {number} length */
  shuffled(length) {
    const list = Array.from({ length }, (_, i) => i);
    for (let i = length - 1; i > 0; i--) {
      const j = this.int(0, i);
      [list[i], list[j]] = [Number(list[j]), Number(list[i])];
    }
    return list;
  }

  /** @param {number} [share] */
  chance(share = 0.5) {
    return this.unit() < share;
  }
}

const maxElements = 40_000;

/** @param {readonly number[]} list @param {number} index */
export const at = (list, index) => /** @type {number} */ (list[index]);

/** How many elements there are. @param {readonly number[]} dims */
export const count = (dims) => dims.reduce((product, dim) => product * dim, 1);

export class RandomGraph {
  /** @param {number} seed */
  constructor(seed) {
    this.draw = new Draw(seed);
    this.net = new NetworkWriter();
    const { draw } = this;
    const sides = draw.chance(0.15) ? [draw.int(1, 60)] : [draw.int(1, 20), draw.int(1, 20)];
    const dims = [draw.int(1, 2), draw.one([1, 2, 3, 4, 8, 16]), ...sides];
    this.inputDims = dims;
    /** @type {Value[]} */
    this.values = [{ name: this.net.input('x', dims).name, dims }];
    /** Values that something reads. @type {Set<string>} */
    this.read = new Set();
  }

  /** @param {string} op @param {readonly Value[]} inputs @param {readonly string[]} constants @param {number[]} dims @param {Record<string, import('../../bench/lib/network-writer.mjs').AttributeValue>} [attributes] */
  add(op, inputs, constants, dims, attributes = {}) {
    if (dims.some((dim) => dim < 1) || count(dims) > maxElements) return undefined;
    const name = this.net.node(op, [...inputs.map((value) => value.name), ...constants], attributes);
    return this.made(inputs, name, dims);
  }

  /** @param {readonly Value[]} inputs @param {string} name @param {number[]} dims */
  made(inputs, name, dims) {
    for (const value of inputs) this.read.add(value.name);
    const value = { name, dims };
    this.values.push(value);
    return value;
  }

  /** @param {number} rank */
  value(rank) {
    const fitting = this.values.filter(({ dims }) => dims.length === rank);
    // The last ones more often: graphs become deep.
    return fitting.length > 0 ? this.draw.one(this.draw.chance(0.6) ? fitting.slice(-2) : fitting) : undefined;
  }

  /** @param {readonly number[]} dims @param {number} [std] */
  tensor(dims, std = 1) {
    return this.net.floats(dims, randn(dims, { seed: this.draw.int(0, 1e6), std }).data);
  }

  /** A constant of numbers from 0.5. @param {readonly number[]} dims */
  positive(dims) {
    const numbers = randn(dims, { seed: this.draw.int(0, 99) }).data;
    return this.net.floats(
      dims,
      numbers.map((number) => number * number + 0.5),
    );
  }

  /** @param {Value} x */
  normalized(x) {
    const channels = Number(x.dims[1]);
    const lists = [1, 0.3, 0.3].map((std) => this.tensor([channels], std));
    return this.add('BatchNormalization', [x], [...lists, this.positive([channels])], x.dims);
  }

  /** @param {number} value */
  scalar(value) {
    return this.net.floats([], Float32Array.of(value));
  }

  /** Images, or lines. */
  map() {
    const fitting = this.values.filter(({ dims }) => dims.length === 3 || dims.length === 4);
    if (fitting.length === 0) return undefined;
    // What has been made of an image is seldom a line.
    const value = this.draw.one(this.draw.chance(0.6) ? fitting.slice(-2) : fitting);
    return value.dims.length === this.inputDims.length || this.draw.chance(0.3) ? value : this.value(4);
  }

  /** A window that slides over the spatial axes; nothing if it does not fit. @param {readonly number[]} dims @param {boolean} isPooling */
  window(dims, isPooling) {
    const { draw } = this;
    const sides = dims.slice(2);
    const kernel = sides.map(() => (draw.chance(0.7) ? draw.one([1, 3]) : draw.int(1, 7)));
    const most = draw.chance(0.6) ? 1 : 4;
    const strides = sides.map(() => draw.int(1, most));
    const dilations = draw.chance(0.8) ? sides.map(() => 1) : sides.map(() => draw.int(1, 3));
    const shared = { kernel_shape: kernel, strides, dilations };
    const reach = kernel.map((size, i) => (size - 1) * at(dilations, i) + 1);
    // Other runtimes refuse automatic padding of windows with holes, or between which pixels are left out.
    const isClosed = reach.every((length, i) => length >= at(strides, i)) && dilations.every((step) => step === 1);
    if (isClosed && draw.chance(0.2)) {
      const auto = draw.one(['SAME_UPPER', 'SAME_LOWER', 'VALID']);
      const out = sides.map((side, i) =>
        auto === 'VALID' ? Math.floor((side - at(reach, i)) / at(strides, i)) + 1 : Math.ceil(side / at(strides, i)),
      );
      return { attributes: { ...shared, auto_pad: auto }, kernel, out };
    }
    const pads = [...kernel, ...kernel].map((size) => {
      if (draw.chance(0.5)) return Math.floor(size / 2);
      return draw.int(0, Math.max(0, isPooling ? size - 1 : size));
    });
    if (isPooling && pads.some((pad, i) => pad >= at(kernel, i % sides.length))) return undefined;
    const steps = sides.map((side, i) => side + at(pads, i) + at(pads, i + sides.length) - at(reach, i));
    const out = steps.map((length, i) => Math.floor(length / at(strides, i)) + 1);
    if (!isPooling || draw.chance(0.7)) return { attributes: { ...shared, pads }, kernel, out };
    const more = steps.map((length, i) => Math.ceil(length / at(strides, i)) + 1);
    // Versions of ONNX differ on windows that would begin in the padding behind the image.
    const isBehind = more.some((length, i) => (length - 1) * at(strides, i) >= at(sides, i) + at(pads, i));
    if (isBehind || steps.some((length) => length < 0)) return undefined;
    return { attributes: { ...shared, pads, ceil_mode: 1 }, kernel, out: more };
  }

  /** One node more, if it fits. @param {readonly string[]} kinds */
  step(kinds) {
    const name = this.draw.one(kinds);
    return steps[name]?.(this) ? name : undefined;
  }
}

/** @type {Record<string, (graph: RandomGraph) => Value | undefined>} */
const steps = { ...windowSteps, ...tensorSteps };

/**
 * A random graph: the bytes of its file, and the dims of its input `x`.
 *
 * @param {number} seed
 * @param {readonly string[]} [kinds] of nodes; some may be named several times
 */
export function randomGraph(seed, kinds = Object.keys(steps)) {
  const graph = new RandomGraph(seed);
  const wanted = graph.draw.int(1, 14);
  for (let i = 0, made = 0; made < wanted && i < 10 * wanted; i++) if (graph.step(kinds)) made++;
  const open = graph.values.slice(1).filter(({ name }) => !graph.read.has(name));
  // Something else that is read inside, too.
  const inner = graph.values.slice(1).filter(({ name }) => graph.read.has(name));
  if (inner.length > 0 && graph.draw.chance(0.3)) open.push(graph.draw.one(inner));
  const outputs = Object.fromEntries(open.map(({ name, dims }, i) => [`y${i}`, { name, rank: dims.length }]));
  return { bytes: graph.net.finishRanks(outputs, { opset: 17 }), dims: graph.inputDims };
}
