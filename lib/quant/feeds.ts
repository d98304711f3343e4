import { types } from 'node:util';
import { describe, mismatch, quote, within } from '../errors';
import { checkFinite } from '../finite';
import { type Dim, sameDims, sizeOf, type Value } from '../graph/graph';
import type { InputDims } from '../graph/specialize';
import { imagesInput } from '../model/image-layout';
import type { Model } from '../model/model';
import { readForeign } from '../options';
import { type Preprocessing, plainPreprocessing } from '../preprocessing';
import { checkFeeds, numbersOf, readFeeds } from '../runtime/graph-feeds';
import type { Tensor } from '../tensor';
import { chunkSize, type Split } from './calibration';
import type { FeedChunk } from './observer';

/**
 * Splits batches for a graph into chunks. A batch is tensors by the names of the inputs; for a graph with one input it may also be
 * that tensor, or `{ images }`. The model's preprocessing converts bytes [n, h, w, c], by default to numbers from 0 to 1.
 */
export function feedChunks(model: Model): Split {
  const { inputs } = model;
  const open = inputs.map((input) => ({ ...input, dims: ['N' as Dim, ...input.dims.slice(1)] }));
  const fixed = inputs.map(({ dims: [first] }) => first).find((dim): dim is number => typeof dim === 'number');
  return function* (batch) {
    const feeds = readFeeds(feedsOf(batch, inputs), inputs);
    const preprocessing = preprocessingOf(model);
    const checked = checkFeeds(
      feeds.map((feed, i) => ({ ...feed, input: open[i] as Value })),
      preprocessing,
    );
    const arrays = checked.feeds.map((feed) => numbersOf(feed, preprocessing));
    const count = countOf(checked.dims, fixed);
    const [first] = [...checked.dims.values()];
    const size = fixed ?? chunkSize(sizeOf(first?.slice(1) ?? []) / 3);
    for (let start = 0; start < count; start += size) {
      const end = Math.min(start + size, count);
      const tensors = inputs.map(({ name }, i) => {
        const data = arrays[i] as Float32Array;
        const dims = checked.dims.get(name) as readonly number[];
        const each = data.length / count;
        const part = data.subarray(start * each, end * each);
        if (types.isFloat32Array(part)) within(quote(name), () => checkFinite(part));
        return [name, { data: part, dims: [end - start, ...dims.slice(1)] as number[] }] as const;
      });
      yield { feeds: Object.fromEntries(tensors), count: end - start };
    }
  };
}

/** Dims of the inputs for one image, or for the fixed number of images that the graph takes. */
export function dimsOfChunk({ feeds }: FeedChunk, model: Model): InputDims {
  return new Map(
    model.inputs.map(({ name, dims: [first] }) => {
      const { dims } = feeds[name] as Tensor;
      return [name, [typeof first === 'number' ? first : 1, ...dims.slice(1)]];
    }),
  );
}

/** A copy of a chunk: its memory is the caller's. */
export function copyOf({ feeds, count }: FeedChunk): FeedChunk {
  const copies = Object.entries(feeds).map(([name, { data, dims }]) => [name, { data: data.slice(), dims }] as const);
  return { feeds: Object.fromEntries(copies), count };
}

function feedsOf(batch: unknown, inputs: readonly Value[]): unknown {
  const [input, ...others] = inputs;
  if (typeof batch !== 'object' || batch === null || !input) {
    throw mismatch('ERR_INVALID_ARG', 'images { data, dims }, or tensors by the names of inputs', describe(batch));
  }
  const given = batch as Readonly<Record<string, unknown>>;
  return readForeign(() => {
    if (others.length > 0 || given[input.name] !== undefined) return batch;
    return { [input.name]: given.images ?? batch };
  });
}

/** The preprocessing that a session of the model would have. */
function preprocessingOf({ inputs, preprocessing }: Model): Preprocessing | undefined {
  const images = imagesInput(inputs);
  return preprocessing ?? (images && plainPreprocessing(images.channels));
}

/** Number of images in a batch. @throws {QARepVGGError} ERR_SHAPE unless it is the same for all inputs and the graph takes it. */
function countOf(dims: InputDims, fixed: number | undefined): number {
  const counts = [...dims.values()].map(([count = 0]) => count);
  const [count = 0] = counts;
  if (
    !sameDims(
      counts,
      counts.map(() => count),
    )
  ) {
    throw mismatch('ERR_SHAPE', 'inputs of as many images each', counts.join(' and '));
  }
  if (count > 0 && count % (fixed ?? 1) === 0) return count;
  throw mismatch('ERR_SHAPE', `a multiple of ${fixed ?? 1} images`, String(count));
}
