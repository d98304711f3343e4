import type { Dim, Value } from '../graph/graph';

/** How an input holds images. */
export interface ImageLayout {
  readonly channels: number;
  /** Whether the dims are [n, h, w, c] rather than [n, c, h, w]. */
  readonly isLast: boolean;
}

/**
 * The layout of an input of images: four dims, of which the second, or else the last, is the number of channels.
 *
 * @param counts Numbers of channels that count as such.
 */
export function imageLayout<T extends number = 1 | 2 | 3 | 4>(
  { dims }: Pick<Value, 'dims'>,
  counts: readonly T[] = [1, 2, 3, 4] as T[],
): (ImageLayout & { readonly channels: T }) | undefined {
  if (dims.length !== 4) return undefined;
  const isChannels = (dim: Dim | undefined): dim is T => counts.includes(dim as T);
  const [, first, , last] = dims;
  if (isChannels(first)) return { channels: first, isLast: false };
  return isChannels(last) ? { channels: last, isLast: true } : undefined;
}

/** The input of a graph for images. */
export interface ImagesInput extends ImageLayout {
  readonly name: string;
}

/** The input of images: the only input, of floats. */
export function imagesInput([input, ...others]: readonly Value[]): ImagesInput | undefined {
  const layout = input?.type === 'float32' && others.length === 0 ? imageLayout(input) : undefined;
  return input && layout && { name: input.name, ...layout };
}

/** Height and width in dims of that layout. */
export function sidesOf<T>(dims: readonly T[], { isLast }: Pick<ImageLayout, 'isLast'>): T[] {
  return isLast ? dims.slice(1, 3) : dims.slice(2);
}

/** Dims of `count` images. */
export function imageDims({ channels, isLast }: ImageLayout, count: number, sides: readonly number[]): number[] {
  return isLast ? [count, ...sides, channels] : [count, channels, ...sides];
}
