/** Largest sum that fits into 32 bits. */
export const maxSum = 2 ** 31 - 1;

const byRows = (size: number) => (index: number) => Math.floor(index / size);

/**
 * Finds an output whose bias plus products could exceed 32 bits for some input of bytes. The engine refuses such weights, too
 * (native/ops/quantization.cc).
 *
 * @param outputOf The output of each weight. By default, the weights of an output lie together.
 */
export function excessiveSum(
  weight: Int8Array,
  bias: Int32Array,
  outputOf = byRows(weight.length / bias.length),
): { readonly output: number; readonly largest: number } | undefined {
  const start = bias.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  // The number of products alone shows this for all but very deep layers.
  if (start + 255 * 128 * (weight.length / bias.length) <= maxSum) return undefined;
  const [positive, negative] = [new Float64Array(bias.length), new Float64Array(bias.length)];
  for (let i = 0; i < weight.length; i++) {
    const value = weight[i] as number;
    const signed = value > 0 ? positive : negative;
    signed[outputOf(i)] = (signed[outputOf(i)] as number) + Math.abs(value);
  }
  const largest = Array.from(
    bias,
    (value, i) => 255 * Math.max(positive[i] as number, negative[i] as number) + Math.abs(value),
  );
  const output = largest.findIndex((sum) => sum > maxSum);
  return output < 0 ? undefined : { output, largest: largest[output] as number };
}
