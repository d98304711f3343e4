import { mismatch, quote } from '../../errors';
import type { Graph } from '../../graph/graph';
import type { CalibrationReader } from '../calibration';
import { Histogram } from '../histogram';
import { eachChunk, type PassOptions, sampleSize } from '../statistics';
import { copyOf } from './feeds';
import { type FeedChunk, Observer } from './observer';

/** What calibration has seen of a graph's values. */
export interface GraphStatistics {
  readonly histograms: ReadonlyMap<string, Histogram>;
  /** The first few images, to measure the quantised graph on. */
  readonly sample: readonly FeedChunk[];
  readonly images: number;
}

/**
 * Makes histograms of values over all images.
 *
 * @throws {QARepVGGError} the errors of {@link CalibrationReader.chunks}; ERR_NON_FINITE naming a value; ERR_QUANT_PARAM naming a
 * value that is empty for all images; ERR_ABORTED.
 */
export async function observe(
  graph: Graph,
  names: readonly string[],
  { first, chunks }: FeedPass,
  options: PassOptions,
  where: string,
): Promise<GraphStatistics> {
  const histograms = new Map(names.map((name) => [name, new Histogram()]));
  const sample: FeedChunk[] = [];
  let [images, sampled] = [0, 0];
  const makers = new Map(graph.nodes.flatMap(({ name, outputs }) => outputs.map((output) => [output, name] as const)));
  const observer = new Observer(graph, names, first.count, options, where);
  const placeOf = (name: string): string => {
    const maker = makers.get(name);
    return maker === undefined
      ? `${where}, input ${quote(name)}`
      : `${where}, output ${quote(name)} of node ${quote(maker)}`;
  };
  try {
    for await (const chunk of chunks) {
      await observer.show(chunk, (name, { data }) => {
        if (data.length > 0) histograms.get(name)?.add(data, placeOf(name));
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

/** A pass over all images that reports its progress to the caller. */
export function feedPass(
  reader: CalibrationReader<FeedChunk>,
  stage: 'equalize' | 'calibrate' | 'correct',
  options: PassOptions,
  where: string,
): AsyncGenerator<FeedChunk> {
  return eachChunk(reader, stage, options, where, ({ count }) => count);
}
