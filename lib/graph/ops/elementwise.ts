import { type DataType, type GraphTensor, sizeOf } from '../graph';
import { broadcastPositions, numbersOf, tensorOf } from '../tensors';
import { broadcastDims, type OpNode, operand } from './op';

/** Applies a function to constants, with broadcasting, and rounds the result to `type`. */
export function mapConstants(node: OpNode, type: DataType, map: (...numbers: number[]) => number): GraphTensor[] {
  const operands = node.inputs.map((_, i) => operand(node, i));
  const dims = broadcastDims(
    node,
    operands.map((input) => input.dims),
  );
  const sources = operands.map(({ tensor, dims: from }) => ({
    numbers: numbersOf(tensor as GraphTensor),
    positions: broadcastPositions(from, dims),
  }));
  const result = Float64Array.from({ length: sizeOf(dims) }, (_, i) =>
    map(...sources.map(({ numbers, positions }) => numbers[positions[i] as number] as number)),
  );
  return [tensorOf(type, dims, result)];
}

/** Error function, by the continued fraction and series of Abramowitz and Stegun 7.1.5 and 7.1.14. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x) || a > 6) return Number.isNaN(x) ? x : Math.sign(x);
  if (a < 2.5) {
    let [term, sum] = [x, x];
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = a;
  for (let n = 60; n > 0; n--) fraction = a + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / fraction);
}

/** Rounds to nearest, halves to even. */
export function roundEven(x: number): number {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

export function clamp(x: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, x));
}
