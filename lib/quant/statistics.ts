import { mismatch, quote, within } from '../errors';
import { throwIfAborted } from '../runtime/abort';
import type { CalibrationReader } from './calibration';
import { copyOf } from './feeds';
import type { FloatGraph } from './float-graph';
import { Histogram } from './histogram';
import { type FeedChunk, Observer } from './observer';
import type { CheckedQuantizeOptions, QuantizationProgress } from './options';

/** What calibration has seen of a graph's values. */
export interface Statistics {
  readonly histograms: ReadonlyMap<string, Histogram>;
  /** The first few images, to measure the quantised graph on. */
  readonly sample: readonly FeedChunk[];
  readonly images: number;
}

/** Images of the sample, if there are so many. */
const sampleSize = 16;

/** The part of the options that a pass over the images needs. */
export type PassOptions = Pick<CheckedQuantizeOptions, 'threads' | 'onProgress' | 'signal'>;

/**
 * Makes histograms of values over all images.
 *
 * @throws {QARepVGGError} the errors of {@link CalibrationReader.chunks}; ERR_NON_FINITE naming a node; ERR_QUANT_PARAM for a value that
 * is empty for all images; ERR_ABORTED.
 */
export async function observe(
  float: FloatGraph,
  names: readonly string[],
  { first, chunks }: FeedPass,
  options: PassOptions,
): Promise<Statistics> {
  const histograms = new Map(names.map((name) => [name, new Histogram()]));
  const sample: FeedChunk[] = [];
  let [images, sampled] = [0, 0];
  const placeOf = valuePlaces(float);
  const observer = new Observer(float.graph, names, first.count, options);
  try {
    for await (const chunk of chunks) {
      await observer.show(chunk, (name, { data }) => {
        if (data.length > 0) within(placeOf(name), () => histograms.get(name)?.add(data));
      });
      images += chunk.count;
      if (sampled >= sampleSize) continue;
      sample.push(copyOf(chunk));
      sampled += chunk.count;
    }
  } finally {
    observer.dispose();
  }
  for (const [name, { count }] of histograms) {
    if (count === 0) throw mismatch('ERR_QUANT_PARAM', placeOf(name), 'numbers to calibrate on', 'none');
  }
  return { histograms, sample, images };
}

/** What errors call a value. */
export function valuePlaces({ graph, placeOf }: FloatGraph): (name: string) => string {
  const makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  return (name) => {
    const maker = makers.get(name);
    return maker ? `output of ${placeOf(maker)}` : `input ${quote(name)}`;
  };
}

/** A pass over all images, of which the first chunk is already read. */
export interface FeedPass {
  readonly first: FeedChunk;
  /** All chunks, including the first. */
  readonly chunks: AsyncIterable<FeedChunk>;
}

/** Iterates the chunks of a pass whose first one has been read already. */
export async function* passOver(first: FeedChunk, rest: AsyncIterable<FeedChunk>): AsyncGenerator<FeedChunk> {
  yield first;
  yield* rest;
}

/** A pass over all images that reports its progress to the caller after each chunk, until the caller aborts it. */
export async function* feedPass(
  reader: CalibrationReader,
  stage: QuantizationProgress['stage'],
  { onProgress, signal }: PassOptions,
): AsyncGenerator<FeedChunk> {
  let images = 0;
  throwIfAborted(signal);
  for await (const chunk of reader.chunks()) {
    yield chunk;
    throwIfAborted(signal);
    images += chunk.count;
    onProgress?.({ stage, images });
  }
}
