/** A class among the most probable. */
export interface RankedClass {
  readonly index: number;
  readonly value: number;
  readonly label?: string;
}

/** The largest values first; equal ones keep their order. */
export function rank(values: ArrayLike<number>, count: number, labels?: readonly string[]): RankedClass[] {
  const order = Array.from(values, (value, index) => ({ index, value }));
  order.sort((a, b) => b.value - a.value || a.index - b.index);
  return order.slice(0, count).map((entry) => {
    const label = labels?.[entry.index];
    return label === undefined ? entry : { ...entry, label };
  });
}

/** Values to probabilities. */
export function softmax(values: ArrayLike<number>): Float64Array {
  const powers = Float64Array.from(values);
  const top = powers.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  let sum = 0;
  powers.forEach((value, i) => {
    powers[i] = Math.exp(value - top);
    sum += powers[i] as number;
  });
  return powers.map((power) => power / sum);
}
