import { createHash } from 'node:crypto';
import type { Tensor } from '../../lib';

/** |actual - expected| / |expected|, Euclidean; `norm` replaces |expected| where that is 0 by design. */
export function relativeL2(actual: Float32Array, expected: Float32Array, norm?: number): number {
  expect(actual.length).toBe(expected.length);
  let difference = 0;
  let square = 0;
  expected.forEach((value, i) => {
    difference += ((actual[i] as number) - value) ** 2;
    square += value ** 2;
  });
  return difference === 0 ? 0 : Math.sqrt(difference) / (norm ?? Math.sqrt(square));
}

/** Largest |actual - expected| / (atol + rtol |expected|): at most 1 where `torch.allclose` is true. */
export function closeness(actual: Tensor, expected: Tensor, atol: number, rtol: number): number {
  expect(actual.dims).toEqual(expected.dims);
  return expected.data.reduce((worst, value, i) => {
    const difference = Math.abs((actual.data[i] as number) - value);
    return Math.max(worst, difference / (atol + rtol * Math.abs(value)));
  }, 0);
}

/** A text that is equal only for tensors of equal dims and equal bits. */
export function bits(...tensors: readonly Tensor[]): string {
  const hash = createHash('sha256');
  for (const { data, dims } of tensors) {
    hash.update(`${dims}`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}
