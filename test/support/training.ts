import { createModel, Dataset, type Network, randn } from '../../lib';
import { bits } from './compare';
import { tiny } from './networks';

/** Options of a network for the images of {@link patterns}. */
export const patternOptions = { ...tiny, numClasses: 3, inputSize: 8 };

/** A fresh network for them. */
export function patternNetwork(seed = 1): Network {
  return createModel('qarepvgg_a0', { ...patternOptions, seed });
}

/** Noise around one pattern for each of three classes. */
export function patterns(count: number, seed: number): Dataset {
  const size = 2 * 8 * 8;
  const pattern = randn([3, size], { seed: 1, mean: 128, std: 40 }).data;
  const noise = randn([count, size], { seed, std: 40 }).data;
  const classOf = (image: number): number => image % 3;
  const images = Uint8Array.from(noise, (value, i) => {
    const clean = pattern[classOf(Math.floor(i / size)) * size + (i % size)] as number;
    return Math.max(0, Math.min(255, clean + value));
  });
  const classes = ['a', 'b', 'c'];
  return new Dataset({
    images,
    dims: [8, 8, 2],
    labels: Int32Array.from({ length: count }, (_, i) => classOf(i)),
    classes,
  });
}

/** A text that is equal only for networks with the same weights and statistics, bit for bit. */
export function state(model: Network): string {
  return bits(...Object.values(model.stateDict()));
}
