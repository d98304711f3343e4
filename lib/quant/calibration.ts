import { types } from 'node:util';
import { describe, mismatch } from '../errors';
import { Dataset } from '../formats/dataset';
import { readForeign } from '../options';
import { defaultPreprocessing, type Preprocessing, preprocess } from '../preprocessing';
import { untilAborted } from '../runtime/abort';
import { type CheckedImages, checkImages, type Images } from '../runtime/images';
import { readTensor, type Tensor } from '../tensor';
import { checkFinite } from '../finite';

/** Images to calibrate on: floats [n, c, h, w], taken as they are, or bytes [n, h, w, c], which go through the preprocessing. */
export type CalibrationBatch = Images | { readonly images: Images };

/** A stream of such batches, of any sizes. */
export type CalibrationStream = Iterable<CalibrationBatch> | AsyncIterable<CalibrationBatch>;

/**
 * What a model is calibrated on: an array, a generator or any other iterable of batches, a function that returns one, or a
 * {@link Dataset}. A batch is forgotten before the next one is asked for.
 *
 * @example
 * async function* photographs() {
 *   for (const file of files) yield { images: await readImage(file) };
 * }
 * await quantize(model, photographs); // called anew each time that the images are gone through
 */
export type Calibration = CalibrationStream | (() => CalibrationStream) | Dataset;

type BatchIterator = Iterator<CalibrationBatch> | AsyncIterator<CalibrationBatch>;

/** Most images that go through the layers together. */
const maxChunk = 8;

/** Pixels that do: what goes from layer to layer then stays in the caches, and is cheap to allocate. */
const chunkPixels = 2 ** 17;

/** Goes through calibration images, as often as need be, a few at a time. */
export class CalibrationReader {
  readonly #calibration: unknown;
  readonly #model: { readonly inChannels: number; readonly preprocessing?: Preprocessing | undefined };
  readonly #signal: AbortSignal | undefined;
  readonly #where: string;
  #passes = 0;

  constructor(
    calibration: unknown,
    model: { readonly inChannels: number; readonly preprocessing?: Preprocessing | undefined },
    signal: AbortSignal | undefined,
    where: string,
  ) {
    this.#calibration = calibration;
    this.#model = model;
    this.#signal = signal;
    this.#where = where;
  }

  /**
   * All images, [n, c, h, w] with n up to 8, fewer of large ones.
   *
   * @throws {QARepVGGError} ERR_INVALID_ARG where there are none, and where they can be gone through but once; ERR_SHAPE,
   * ERR_DTYPE, ERR_BUFFER_*, ERR_NON_FINITE for a batch; ERR_ABORTED, also while a batch is waited for; whatever the stream
   * throws.
   */
  async *chunks(): AsyncGenerator<Tensor> {
    const where = `${this.#where}, calibration`;
    const stream = this.#open(where);
    this.#passes++;
    let index = 0;
    for await (const batch of this.#batches(stream)) {
      const place = `${where}, batch ${index++}`;
      const images = readImages(batch, this.#model.inChannels, place);
      const fitting = Math.floor(chunkPixels / (images.height * images.width));
      const size = Math.min(maxChunk, Math.max(1, fitting));
      for (let start = 0; start < images.count; start += size) {
        const chunk = this.#toFloats(images, start, Math.min(start + size, images.count));
        checkFinite(chunk.data, `${place}, images`);
        yield chunk;
      }
    }
    if (index > 0) return;
    const received = this.#passes > 1 ? 'an iterable that can be gone through but once' : 'none';
    const expected =
      this.#passes > 1 ? 'images each time (an array, or a function that returns a generator)' : 'images';
    throw mismatch('ERR_INVALID_ARG', where, expected, received);
  }

  /** What `for await` would give; but an abort ends the wait for a batch that does not come. */
  async *#batches(stream: CalibrationStream): AsyncGenerator<CalibrationBatch> {
    const iterator = Symbol.asyncIterator in stream ? stream[Symbol.asyncIterator]() : stream[Symbol.iterator]();
    for (;;) {
      const { done, value } = await this.#next(iterator);
      if (done) return;
      let isUsed = false;
      try {
        yield value;
        isUsed = true;
      } finally {
        if (!isUsed) await close(iterator);
      }
    }
  }

  async #next(iterator: BatchIterator): Promise<{ readonly done: boolean; readonly value: CalibrationBatch }> {
    const next = async () => {
      const { done = false, value } = await iterator.next();
      return { done, value: (await value) as CalibrationBatch };
    };
    try {
      return await untilAborted(next(), this.#signal, this.#where);
    } catch (error) {
      // A generator that waits for something hears of it only then: its end is not waited for.
      if (this.#signal?.aborted) close(iterator).catch(() => undefined);
      throw error;
    }
  }

  #open(where: string): CalibrationStream {
    const calibration = this.#calibration;
    if (calibration instanceof Dataset) return batchesOf(calibration);
    const stream = typeof calibration === 'function' ? readForeign(where, () => calibration() as unknown) : calibration;
    if (typeof stream === 'object' && stream !== null) {
      const iterable = readForeign(where, () => {
        const { [Symbol.iterator]: sync, [Symbol.asyncIterator]: async } = stream as AsyncIterable<never> &
          Iterable<never>;
        return typeof sync === 'function' || typeof async === 'function';
      });
      // A typed array would be an iterable of numbers.
      if (iterable && !types.isTypedArray(stream)) return stream as CalibrationStream;
    }
    const expected = 'an iterable of images, a function that returns one, or a Dataset';
    throw mismatch('ERR_INVALID_ARG', where, expected, describe(stream));
  }

  #toFloats({ data, count, height, width }: CheckedImages, start: number, end: number): Tensor {
    const { inChannels, preprocessing = defaultPreprocessing(inChannels) } = this.#model;
    const size = data.length / count;
    const part = data.subarray(start * size, end * size);
    return types.isFloat32Array(part)
      ? { data: part, dims: [end - start, inChannels, height, width] }
      : preprocess(part as Uint8Array, [end - start, height, width, inChannels], preprocessing);
  }
}

async function close(iterator: BatchIterator): Promise<void> {
  await iterator.return?.();
}

function* batchesOf(dataset: Dataset): Generator<Images> {
  for (const { images, dims } of dataset.parts(maxChunk)) yield { data: images, dims };
}

function readImages(batch: unknown, channels: number, where: string): CheckedImages {
  if (typeof batch !== 'object' || batch === null) {
    throw mismatch('ERR_INVALID_ARG', where, 'images { data, dims }, or { images }', describe(batch));
  }
  const images = readForeign(where, () => (batch as { images?: unknown }).images ?? batch);
  return checkImages(readTensor(images, where), channels, where);
}
