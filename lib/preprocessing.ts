import { describe, describeList, mismatch } from './errors';
import { imageDims } from './model/image-layout';
import { readForeign } from './options';
import type { Tensor } from './tensor';

/** What turns a byte of an image into the number that a network computes with: (byte / 255 - mean) / std, per channel. */
export interface Preprocessing {
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /**
   * The share of an image's shorter side, in the middle, that the network sees; 1 is all of it, as for `qarepvgg train`. Absent
   * means as for ImageNet: 0.875, or 1 for images below 128 pixels.
   */
  readonly crop?: number;
}

/** The means and deviations of ImageNet, which the published weights were trained with. */
const imageNet: Preprocessing = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** ImageNet's for three channels; otherwise mean 0.5 and deviation 0.5, which gives numbers from -1 to 1. */
export function defaultPreprocessing(channels: number): Preprocessing {
  if (channels === 3) return imageNet;
  return { mean: Array(channels).fill(0.5), std: Array(channels).fill(0.5) };
}

/** Numbers from 0 to 1. */
export function plainPreprocessing(channels: number): Preprocessing {
  return { mean: Array(channels).fill(0), std: Array(channels).fill(1) };
}

/**
 * @throws {QARepVGGError} ERR_INVALID_ARG unless there are a mean and a deviation above 0 for each channel, in reach of
 * float32, and `crop`, if given, is from 0.05 to 1.
 */
export function readPreprocessing(value: unknown, channels: number): Preprocessing {
  const { mean, std, crop } = readForeign(() => {
    const { mean, std, crop } = (value ?? {}) as Partial<Preprocessing>;
    return { mean: copy(mean), std: copy(std), crop: crop as unknown };
  });
  if (crop !== undefined && !(typeof crop === 'number' && crop >= minCrop && crop <= 1)) {
    throw mismatch('ERR_INVALID_ARG', 'crop', `a number from ${minCrop} to 1`, describe(crop));
  }
  const fits = (list: readonly unknown[], low: number): boolean =>
    list.length === channels && list.every((entry) => Number.isFinite(entry) && (entry as number) > low);
  if (fits(mean, Number.NEGATIVE_INFINITY) && fits(std, 0)) {
    const lists = { mean: Object.freeze(mean), std: Object.freeze(std) };
    const read = Object.freeze({ ...lists, ...(crop !== undefined && { crop }) }) as Preprocessing;
    const { byteScale, byteShift } = byteScaling(read);
    if ([...byteScale, ...byteShift].every(Number.isFinite)) return read;
  }
  const expected = `{ mean, std }, each with ${channels} finite numbers, those of std above 0, 1 / std and mean / std within float32`;
  throw mismatch(
    'ERR_INVALID_ARG',
    expected,
    mean.length || std.length ? `mean ${describeList(mean)}, std ${describeList(std)}` : describe(value),
  );
}

/** A smaller share would show almost nothing of an image. */
const minCrop = 0.05;

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

/**
 * Bytes of images [n, h, w, c] as the numbers that a network computes with.
 *
 * @param isLast Whether the numbers stay in that order, rather than become [n, c, h, w].
 */
export function preprocess(
  bytes: Uint8Array,
  dims: readonly number[],
  { mean, std }: Preprocessing,
  isLast = false,
): Tensor {
  const [count, height, width, channels] = dims as [number, number, number, number];
  const area = height * width;
  const [planeStep, pixelStep] = isLast ? [1, channels] : [area, 1];
  const data = new Float32Array(bytes.length);
  for (let channel = 0; channel < channels; channel++) {
    const [low, deviation] = [mean[channel] as number, std[channel] as number];
    for (let image = 0; image < count; image++) {
      const start = image * channels * area;
      const [to, from] = [start + channel * planeStep, start + channel];
      for (let i = 0; i < area; i++) {
        data[to + i * pixelStep] = ((bytes[from + i * channels] as number) / 255 - low) / deviation;
      }
    }
  }
  return { data, dims: imageDims({ channels, isLast }, count, [height, width]) };
}
