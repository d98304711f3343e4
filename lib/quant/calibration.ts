import { types } from 'node:util';
import { describe, mismatch, placed, stepsWithin, within } from '../errors';
import { Dataset } from '../formats/dataset';
import { readForeign } from '../options';
import { untilAborted } from '../runtime/abort';
import type { Images } from '../runtime/images';
import type { FeedChunk } from './observer';

/** Images to calibrate on: floats [n, c, h, w], used unchanged, or bytes [n, h, w, c], to which the preprocessing is applied. */
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
 * await quantize(model, photographs); // called for each pass over the images
 */
export type Calibration = CalibrationStream | (() => CalibrationStream) | Dataset;

/** Largest number of images that run together. */
const maxChunk = 8;

/** Largest number of pixels that run together, so that values between layers stay in the caches and are cheap to allocate. */
const chunkPixels = 2 ** 17;

/** Checks a batch of the caller and divides it. */
export type Split = (batch: unknown) => Generator<FeedChunk>;

/** How many images of `pixels` pixels go through a network together. */
export function chunkSize(pixels: number): number {
  return Math.min(maxChunk, Math.max(1, Math.floor(chunkPixels / pixels)));
}

/** Whether images can be read more than once: a generator allows one pass only. */
export function isRepeatable(calibration: unknown): boolean {
  return within('calibration', () =>
    readForeign(
      () => typeof calibration === 'function' || Array.isArray(calibration) || calibration instanceof Dataset,
    ),
  );
}

/** Reads calibration images, a few at a time, in one or more passes. */
export class CalibrationReader {
  readonly #calibration: unknown;
  readonly #split: Split;
  readonly #signal: AbortSignal | undefined;
  #passes = 0;

  constructor(calibration: unknown, split: Split, signal: AbortSignal | undefined) {
    this.#calibration = calibration;
    this.#split = split;
    this.#signal = signal;
  }

  /**
   * Iterates all images.
   *
   * @throws {QARepVGGError} ERR_INVALID_ARG if there are none, or if a second pass is not possible; ERR_SHAPE,
   * ERR_DTYPE, ERR_BUFFER_*, ERR_NON_FINITE for a batch; ERR_ABORTED, also while a batch is waited for; whatever the stream
   * throws.
   */
  async *chunks(): AsyncGenerator<FeedChunk> {
    try {
      yield* this.#chunks();
    } catch (error) {
      throw placed('calibration', error);
    }
  }

  async *#chunks(): AsyncGenerator<FeedChunk> {
    const stream = this.#open();
    this.#passes++;
    let index = 0;
    for await (const batch of this.#batches(stream)) {
      yield* stepsWithin(`batch ${index++}`, this.#split(batch));
    }
    if (index > 0) return;
    const received = this.#passes > 1 ? 'an iterable that allows one pass only' : 'none';
    const expected =
      this.#passes > 1 ? 'images each time (an array, or a function that returns a generator)' : 'images';
    throw mismatch('ERR_INVALID_ARG', expected, received);
  }

  /** Same as `for await`, except that an abort ends the wait for a batch. */
  async *#batches(stream: CalibrationStream): AsyncGenerator<CalibrationBatch> {
    const iterator = iterate(stream);
    for (;;) {
      const { done, value } = await this.#next(iterator);
      if (done) return;
      let isUsed = false;
      try {
        yield value as CalibrationBatch;
        isUsed = true;
      } finally {
        if (!isUsed) await iterator.close();
      }
    }
  }

  async #next(iterator: OpenIterator): Promise<{ readonly done: boolean; readonly value: unknown }> {
    const next = async () => {
      const result = await settle(iterator.next());
      if (typeof result !== 'object' || result === null) {
        throw mismatch('ERR_INVALID_ARG', 'an iterator whose next() returns { done, value }', describe(result));
      }
      const { done, value } = readForeign(() => {
        const { done, value } = result as { readonly done?: unknown; readonly value?: unknown };
        return { done: Boolean(done), value };
      });
      return { done, value: done ? undefined : await settle(value) };
    };
    try {
      return await untilAborted(next(), this.#signal);
    } catch (error) {
      // A generator that awaits something sees this only later, so its end is not awaited.
      if (this.#signal?.aborted) iterator.close().catch(() => undefined);
      throw error;
    }
  }

  #open(): CalibrationStream {
    const calibration = this.#calibration;
    const dataset = readForeign(() => (calibration instanceof Dataset ? calibration : undefined));
    if (dataset) return batchesOf(dataset);
    const stream = typeof calibration === 'function' ? readForeign(() => calibration() as unknown) : calibration;
    if (typeof stream === 'object' && stream !== null) {
      const iterable = readForeign(() => {
        const { [Symbol.iterator]: sync, [Symbol.asyncIterator]: async } = stream as AsyncIterable<never> &
          Iterable<never>;
        return typeof sync === 'function' || typeof async === 'function';
      });
      // A typed array would be an iterable of numbers.
      if (iterable && !types.isTypedArray(stream)) return stream as CalibrationStream;
    }
    const expected = 'an iterable of images, a function that returns one, or a Dataset';
    throw mismatch('ERR_INVALID_ARG', expected, describe(stream));
  }
}

/** An iterator of the caller. Errors of its methods are not wrapped. */
interface OpenIterator {
  next(): unknown;
  close(): Promise<void>;
}

/** @throws {QARepVGGError} ERR_INVALID_ARG for a stream without an iterator. */
function iterate(stream: CalibrationStream): OpenIterator {
  return readForeign(() => {
    const iterator: unknown =
      Symbol.asyncIterator in stream ? stream[Symbol.asyncIterator]() : stream[Symbol.iterator]();
    if (typeof iterator !== 'object' || iterator === null) {
      throw mismatch('ERR_INVALID_ARG', 'an iterable that returns an iterator', describe(iterator));
    }
    const { next } = iterator as { readonly next?: unknown };
    if (typeof next !== 'function') {
      throw mismatch('ERR_INVALID_ARG', 'an iterator with a method next', describe(next));
    }
    return {
      next: () => Reflect.apply(next, iterator, []),
      close: async () => {
        const finish = readForeign(() => (iterator as { readonly return?: unknown }).return);
        if (typeof finish === 'function') await Reflect.apply(finish, iterator, []);
      },
    };
  });
}

/** Awaits a value, which may be an object that throws when its `then` is read. */
async function settle(value: unknown): Promise<unknown> {
  if (typeof value === 'object' && value !== null) readForeign(() => (value as { readonly then?: unknown }).then);
  return value;
}

function* batchesOf(dataset: Dataset): Generator<Images> {
  for (const { images, dims } of dataset.parts(maxChunk)) yield { data: images, dims };
}
