import { describe, mismatch } from './errors';
import { readForeign } from './options';

/** What turns a byte of an image into the number that a network computes with: (byte / 255 - mean) / std, per channel. */
export interface Preprocessing {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** The means and deviations of ImageNet, which the published weights were trained with. */
const imageNet: Preprocessing = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** For three channels that of ImageNet; otherwise mean 0.5 and deviation 0.5, which gives numbers from -1 to 1. */
export function defaultPreprocessing(channels: number): Preprocessing {
  if (channels === 3) return imageNet;
  return { mean: Array(channels).fill(0.5), std: Array(channels).fill(0.5) };
}

/** @throws {QARepVGGError} ERR_INVALID_ARG unless there are a mean and a deviation above 0 for each channel. */
export function readPreprocessing(value: unknown, channels: number, where: string): Preprocessing {
  const { mean, std } = readForeign(where, () => {
    const { mean, std } = (value ?? {}) as Partial<Preprocessing>;
    return { mean: copy(mean), std: copy(std) };
  });
  const fits = (list: readonly unknown[], low: number): boolean =>
    list.length === channels && list.every((entry) => Number.isFinite(entry) && (entry as number) > low);
  if (fits(mean, Number.NEGATIVE_INFINITY) && fits(std, 0)) {
    return Object.freeze({ mean: Object.freeze(mean), std: Object.freeze(std) }) as Preprocessing;
  }
  const expected = `{ mean, std }, each with ${channels} finite numbers, those of std above 0`;
  throw mismatch('ERR_INVALID_ARG', where, expected, mean.length || std.length ? 'others' : describe(value));
}

function copy(list: unknown): unknown[] {
  return Array.isArray(list) ? [...list] : [];
}

/** The same as one multiplication and one addition: byte * byteScale + byteShift. */
export function byteScaling({ mean, std }: Preprocessing): { byteScale: Float32Array; byteShift: Float32Array } {
  return {
    byteScale: Float32Array.from(std, (deviation) => 1 / (255 * deviation)),
    byteShift: Float32Array.from(mean, (value, i) => -value / (std[i] as number)),
  };
}
