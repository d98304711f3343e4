import type { Graph } from '../graph/graph';
import { letOthersRun } from '../runtime/abort';
import { type FeedChunk, Observer } from './observer';
import type { CheckedQuantizeOptions } from './options';
import { Ratio } from './report';

/** A quantised graph, with its names for the values of the float graph. */
export interface Renamed {
  readonly graph: Graph;
  readonly names: ReadonlyMap<string, string>;
}

/** The values to compare, and the images to compare them on. */
type Comparison = readonly [
  names: readonly string[],
  sample: readonly FeedChunk[],
  options: Pick<CheckedQuantizeOptions, 'threads' | 'signal'>,
];

/** Measures the signal to quantisation noise of values, in decibels, by their names in the float graph. */
export async function measureNoise(
  float: Graph,
  quantized: Renamed,
  ...comparison: Comparison
): Promise<Map<string, number>> {
  const exact = observe(float, comparison);
  try {
    return await compare(exact, quantized, comparison);
  } finally {
    exact.dispose();
  }
}

/** Measures many quantised graphs against one float graph, which runs once. Keeps all its values, so use it for outputs only. */
export class NoiseMeter {
  readonly #exact: Observer;
  readonly #known = new Map<FeedChunk, Map<number, ReturnType<Observer['run']>>>();
  readonly #comparison: Comparison;

  constructor(float: Graph, ...comparison: Comparison) {
    this.#exact = observe(float, comparison);
    this.#comparison = comparison;
  }

  /** Same as {@link measureNoise}. */
  measure(quantized: Renamed): Promise<Map<string, number>> {
    const { parts } = this.#exact;
    const run = (part: number, chunk: FeedChunk): ReturnType<Observer['run']> => {
      const ofChunk = this.#known.get(chunk) ?? new Map<number, ReturnType<Observer['run']>>();
      this.#known.set(chunk, ofChunk);
      const values = ofChunk.get(part) ?? this.#exact.run(part, chunk);
      ofChunk.set(part, values);
      return values;
    };
    return compare({ parts, run }, quantized, this.#comparison);
  }

  dispose(): void {
    this.#exact.dispose();
  }
}

function observe(graph: Graph, [names, sample, options]: Comparison): Observer {
  return new Observer(graph, names, Math.max(1, ...sample.map(({ count }) => count)), options);
}

async function compare(
  exact: Pick<Observer, 'parts' | 'run'>,
  quantized: Renamed,
  [names, sample, options]: Comparison,
): Promise<Map<string, number>> {
  const ratios = new Map(names.map((name) => [name, new Ratio()]));
  const renamed = names.map((name) => quantized.names.get(name) ?? name);
  const received = observe(quantized.graph, [renamed, sample, options]);
  try {
    // Values have the same dims in both graphs, so they are in the same parts.
    for (let part = 0; part < exact.parts; part++) {
      for (const chunk of sample) {
        const values = await exact.run(part, chunk);
        const others = await received.run(part, chunk);
        for (const [name, { data }] of values) {
          const other = others.get(quantized.names.get(name) ?? name);
          if (other) ratios.get(name)?.add(data, other.data);
          await letOthersRun(options.signal);
        }
      }
    }
  } finally {
    received.dispose();
  }
  return new Map([...ratios].map(([name, { decibels }]) => [name, decibels]));
}
