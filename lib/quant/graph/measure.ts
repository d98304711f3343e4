import type { Graph } from '../../graph/graph';
import { letOthersRun } from '../../runtime/abort';
import type { CheckedQuantizeOptions } from '../options';
import { Ratio } from '../report';
import { type FeedChunk, Observer } from './observer';

/** Signal to quantisation noise of values, in decibels, by their names in the float graph. */
export async function measureNoise(
  float: Graph,
  quantized: { readonly graph: Graph; readonly names: ReadonlyMap<string, string> },
  names: readonly string[],
  sample: readonly FeedChunk[],
  options: Pick<CheckedQuantizeOptions, 'threads' | 'signal'>,
  where: string,
): Promise<Map<string, number>> {
  const ratios = new Map(names.map((name) => [name, new Ratio()]));
  const renamed = names.map((name) => quantized.names.get(name) ?? name);
  const images = Math.max(1, ...sample.map(({ count }) => count));
  const exact = new Observer(float, names, images, options, where);
  const received = new Observer(quantized.graph, renamed, images, options, where);
  try {
    // Values have the same dims in both, and so lie in the same parts.
    for (let part = 0; part < exact.parts; part++) {
      for (const chunk of sample) {
        const values = await exact.run(part, chunk);
        const others = await received.run(part, chunk);
        for (const [name, { data }] of values) {
          const other = others.get(quantized.names.get(name) ?? name);
          if (other) ratios.get(name)?.add(data, other.data);
          await letOthersRun(options.signal, where);
        }
      }
    }
  } finally {
    exact.dispose();
    received.dispose();
  }
  return new Map([...ratios].map(([name, { decibels }]) => [name, decibels]));
}
