import { addon } from './binding';
import { mismatch } from './errors';

/** Whether there is neither NaN nor Infinity among numbers. */
export function allFinite(values: Float32Array): boolean {
  return !Number.isNaN(addon.extent(values)[0]);
}

/** Smallest and largest of numbers. @throws {QARepVGGError} ERR_NON_FINITE unless all are finite. */
export function checkFinite(values: Float32Array): readonly [low: number, high: number] {
  const [low, high] = addon.extent(values);
  if (!Number.isNaN(low)) return [low, high];
  const odd = values.findIndex((value) => !Number.isFinite(value));
  throw mismatch('ERR_NON_FINITE', 'finite numbers', `${values[odd]} at ${odd}`);
}
