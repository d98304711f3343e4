import { checkFinite } from '../finite';
import type { FloatConv, FloatLayer } from '../integer/layers';
import { throwIfAborted } from '../runtime/abort';
import type { Tensor } from '../tensor';
import type { CalibrationReader } from './calibration';
import { equalizablePairs, equalize, raiseToMagnitudes } from './equalize';
import type { FloatModel } from './float-model';
import { Histogram } from './histogram';
import { ChainRunner } from './layer-runner';
import type { CheckedQuantizeOptions, QuantizationProgress } from './options';

/** What calibration has seen. */
export interface Statistics {
  /** The model's layers, equalised where that was wanted. */
  readonly layers: readonly FloatLayer[];
  /** Of the input of each layer, and last of the output of the model. */
  readonly histograms: readonly Histogram[];
  /** The first few images, to measure on what has become of them. */
  readonly sample: readonly Tensor[];
  readonly images: number;
}

/** Images of the sample, if there are so many. */
export const sampleSize = 16;

/** The part of the options that calibration needs. */
export type PassOptions = Pick<CheckedQuantizeOptions, 'equalize' | 'threads' | 'onProgress' | 'signal'>;

/**
 * Reads the images once, or twice to equalise.
 *
 * @throws {QARepVGGError} as {@link CalibrationReader.chunks}; ERR_NON_FINITE for images or activations that are not finite;
 * ERR_ABORTED.
 */
export async function collectStatistics(
  model: FloatModel,
  reader: CalibrationReader,
  options: PassOptions,
  where: string,
): Promise<Statistics> {
  const layers = options.equalize ? await equalizeLayers(model.layers, reader, options, where) : model.layers;
  const histograms = Array.from({ length: layers.length + 1 }, () => new Histogram());
  const sample: Tensor[] = [];
  let images = 0;
  let sampled = 0;
  const runner = new ChainRunner(layers, options, where);
  try {
    for await (const chunk of eachChunk(reader, 'calibrate', options, where)) {
      await runner.run(chunk, (i, { data }) => {
        histograms[i]?.add(data, placeOf(layers, i, where));
      });
      const count = chunk.dims[0] as number;
      images += count;
      if (sampled >= sampleSize) continue;
      // A copy: the caller may use the memory again.
      sample.push({ data: chunk.data.slice(), dims: chunk.dims });
      sampled += count;
    }
  } finally {
    runner.dispose();
  }
  return { layers, histograms, sample, images };
}

/** Chunks of images, with word to the caller after each, until the caller calls it off. */
export async function* eachChunk<C = Tensor>(
  reader: CalibrationReader<C>,
  stage: QuantizationProgress['stage'],
  { onProgress, signal }: Pick<PassOptions, 'onProgress' | 'signal'>,
  where: string,
  countOf: (chunk: C) => number = (chunk) => (chunk as Tensor).dims[0] as number,
): AsyncGenerator<C> {
  let images = 0;
  throwIfAborted(signal, where);
  for await (const chunk of reader.chunks()) {
    yield chunk;
    throwIfAborted(signal, where);
    images += countOf(chunk);
    onProgress?.({ stage, images });
  }
}

async function equalizeLayers(
  layers: readonly FloatLayer[],
  reader: CalibrationReader,
  options: PassOptions,
  where: string,
): Promise<readonly FloatLayer[]> {
  const largest = new Map(
    equalizablePairs(layers).map(({ first }) => [first, new Float32Array((layers[first] as FloatConv).outChannels)]),
  );
  const runner = new ChainRunner(layers, options, where);
  try {
    for await (const chunk of eachChunk(reader, 'equalize', options, where)) {
      await runner.run(chunk, (i, value) => {
        checkFinite(value.data, placeOf(layers, i, where));
        const channels = largest.get(i - 1);
        if (channels) raiseToMagnitudes(channels, value);
      });
    }
  } finally {
    runner.dispose();
  }
  return equalize(layers, largest, options.signal, where);
}

/** What value `index` is, of those that {@link ChainRunner.run} shows. */
function placeOf(layers: readonly FloatLayer[], index: number, where: string): string {
  return index === 0 ? `${where}, calibration images` : `${where}, output of layer ${layers[index - 1]?.name}`;
}
