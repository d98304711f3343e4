import { types } from 'node:util';
import { boundary, describe, describeList, leaving, mismatch, within } from '../errors';
import { checkedProduct } from '../limits';
import { integer, isArray, readForeign } from '../options';

/** What a {@link Dataset} is made of. */
export interface DatasetSource {
  /** All images, one after another: [count, height, width, channels], channels fastest. */
  readonly images: Uint8Array;
  /** [height, width, channels] of each image. */
  readonly dims: readonly [height: number, width: number, channels: number];
  /** The class of each image, an index into `classes`. */
  readonly labels: Int32Array;
  readonly classes: readonly string[];
}

/** Consecutive images of a data set. */
export interface DatasetPart {
  /** A view. */
  readonly images: Uint8Array;
  /** [count, height, width, channels] */
  readonly dims: number[];
  readonly labels: Int32Array;
}

/**
 * Labelled images of one size, in memory: bytes in channels-last order, as files have them. Training converts the bytes of
 * each batch to floats, which would take four times the memory.
 *
 * @example
 * const data = new Dataset({ images: new Uint8Array(2 * 28 * 28), dims: [28, 28, 1], labels: Int32Array.of(0, 1), classes:
 * ['cat', 'dog'] });
 * data.image(1); // Uint8Array(784), a view
 * data.classes[data.label(1)]; // 'dog'
 */
export class Dataset {
  /** [length, height, width, channels] */
  readonly images: Uint8Array;
  readonly labels: Int32Array;
  readonly dims: readonly [height: number, width: number, channels: number];
  readonly classes: readonly string[];
  /** How many images. */
  readonly length: number;
  /** Bytes of an image. */
  readonly #size: number;

  /**
   * The arrays are kept, not copied.
   *
   * @throws {QARepVGGError} ERR_DTYPE, ERR_SHAPE, ERR_BUFFER_SIZE, ERR_SIZE_OVERFLOW; ERR_INVALID_ARG for an empty set and
   * for a label that is no index into `classes`.
   */
  constructor(source: DatasetSource) {
    const { images, dims, labels, classes } = boundary('Dataset', () => checkSource(source));
    this.images = images;
    this.dims = Object.freeze(dims);
    this.labels = labels;
    this.classes = Object.freeze(classes);
    this.length = labels.length;
    this.#size = images.length / labels.length;
  }

  /** The bytes [height, width, channels] of one image, a view. @throws {QARepVGGError} ERR_INVALID_ARG, ERR_BUFFER_DETACHED */
  image(index: number): Uint8Array {
    this.#check(index);
    return this.images.subarray(index * this.#size, (index + 1) * this.#size);
  }

  /** The class of one image. @throws {QARepVGGError} ERR_INVALID_ARG, ERR_BUFFER_DETACHED */
  label(index: number): number {
    this.#check(index);
    return this.labels[index] as number;
  }

  /** A copy of some of the images, in the order given. @throws {QARepVGGError} ERR_INVALID_ARG, ERR_BUFFER_DETACHED */
  subset(indices: readonly number[]): Dataset {
    const own = boundary('Dataset.subset', () => readList(indices, 'an array of indices')) as readonly number[];
    for (const index of own) this.#check(index);
    const images = new Uint8Array(own.length * this.#size);
    own.forEach((index, i) => {
      images.set(this.image(index), i * this.#size);
    });
    const labels = Int32Array.from(own, (index) => this.label(index));
    return new Dataset({ images, dims: this.dims, labels, classes: this.classes });
  }

  /** All images in their order, up to `count` at a time. @throws {QARepVGGError} ERR_INVALID_ARG, ERR_BUFFER_DETACHED */
  parts(count: number): Generator<DatasetPart> {
    return this.#parts(boundary('Dataset.parts, count', () => checkCount(count)));
  }

  *#parts(count: number): Generator<DatasetPart> {
    for (let start = 0; start < this.length; start += count) {
      const end = Math.min(start + count, this.length);
      this.#check(start);
      yield {
        images: this.images.subarray(start * this.#size, end * this.#size),
        dims: [end - start, ...this.dims],
        labels: this.labels.slice(start, end),
      };
    }
  }

  #check(index: number): void {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.length) {
      const expected = `an integer from 0 to ${this.length - 1}`;
      throw leaving('Dataset', mismatch('ERR_INVALID_ARG', 'index', expected, describe(index)));
    }
    // The caller may have transferred the memory of the arrays away.
    if (this.labels.length !== this.length || this.images.length !== this.length * this.#size) {
      const received = 'a view of an ArrayBuffer that was detached or shrunk';
      throw leaving('Dataset', mismatch('ERR_BUFFER_DETACHED', 'the images and labels that it was made of', received));
    }
  }
}

const checkCount = integer(1, Number.MAX_SAFE_INTEGER);

/** @throws {QARepVGGError} the errors of the constructor */
function checkSource(source: DatasetSource) {
  const { images, dims, labels, classes } = readSource(source);
  if (!types.isUint8Array(images)) throw mismatch('ERR_DTYPE', 'images', 'a Uint8Array', describe(images));
  if (!types.isInt32Array(labels)) throw mismatch('ERR_DTYPE', 'labels', 'an Int32Array', describe(labels));
  const size = within('dims', () => checkDims(dims));
  if (labels.length === 0) throw mismatch('ERR_INVALID_ARG', 'labels', 'at least one image', 'none');
  const bytes = within('images', () => checkedProduct([labels.length, ...size]));
  if (images.length !== bytes) {
    throw mismatch('ERR_BUFFER_SIZE', 'images', `${bytes} bytes for ${labels.length} labels`, `${images.length}`);
  }
  const odd = findOdd(labels, classes.length);
  if (odd === -1) return { images, dims: size, labels, classes };
  throw mismatch('ERR_INVALID_ARG', `labels[${odd}]`, `an index into ${classes.length} classes`, describe(labels[odd]));
}

/** What the source holds, which is read once. */
function readSource(source: DatasetSource): DatasetSource & { readonly classes: string[] } {
  if (typeof source !== 'object' || source === null) {
    throw mismatch('ERR_INVALID_ARG', 'an object { images, dims, labels, classes }', describe(source));
  }
  const { images, dims, labels, classes } = readForeign(() => {
    const { images, dims, labels, classes } = source;
    return { images, dims, labels, classes };
  });
  const names = within('classes', () => readList(classes, 'an array of names'));
  if (!names.every((name) => typeof name === 'string')) {
    throw mismatch('ERR_INVALID_ARG', 'classes', 'an array of names', 'an array of other values');
  }
  return { images, dims, labels, classes: names as string[] };
}

/** A copy. @throws {QARepVGGError} ERR_INVALID_ARG */
function readList(value: unknown, expected: string): unknown[] {
  if (!isArray(value)) throw mismatch('ERR_INVALID_ARG', expected, describe(value));
  return readForeign(() => Array.from(value));
}

/**
 * Index of the first label that is not below `classes`, or -1. A loop, because a callback for millions of labels takes
 * seconds.
 */
function findOdd(labels: Int32Array, classes: number): number {
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i] as number;
    if (label < 0 || label >= classes) return i;
  }
  return -1;
}

function checkDims(dims: unknown): [height: number, width: number, channels: number] {
  const given = isArray(dims) ? readForeign(() => dims.slice(0, 4)) : [];
  const [height, width, channels, ...rest] = given;
  const size = [height, width, channels];
  if (rest.length > 0 || !size.every((dim) => Number.isSafeInteger(dim) && (dim as number) >= 1)) {
    const received = given.length > 0 ? describeList(given) : describe(dims);
    throw mismatch('ERR_SHAPE', '[height, width, channels], integers from 1', received);
  }
  return size as [number, number, number];
}
