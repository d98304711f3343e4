import type { GraphNode } from '../../graph';
import { clipBounds } from '../../ops/clip';
import { roundedByte } from '../../ops/quantization';
import type { Integers, Reading, Rounding } from './context';
import type { Bytes } from './parameters';

/** What rounds as something else does, and stays within bounds: rounding keeps the order of numbers. */
export const clamp: Rounding = (node, to, at, integers) => {
  const bounds = boundsOf(node, integers.rewriter);
  const bytes = bounds && integers.tryRound(node.inputs[0] as string, to, at);
  return bytes && clamped(bounds, bytes, at, integers);
};

/** Zero is one of the numbers that bytes stand for, so that what is not below it is exact. */
export const readRelu: Reading = (node, integers) => {
  const bytes = integers.read(node.inputs[0] as string);
  return bytes && clamped([0, Number.POSITIVE_INFINITY], bytes, node, integers);
};

type Bounds = readonly [low: number, high: number];

function clamped([low, high]: Bounds, bytes: Bytes, at: GraphNode, integers: Integers): Bytes {
  const { scale, zeroPoint } = bytes;
  const [least, most] = [low, high].map((bound) => roundedByte(bound, scale, zeroPoint)) as [number, number];
  // Bytes themselves have the same bounds.
  if (least === 0 && most === 255) return bytes;
  const table = new Uint8Array(256).map((_, q) => Math.min(most, Math.max(least, q)));
  return integers.table(bytes, table, bytes, at);
}

function boundsOf(node: Parameters<Rounding>[0], rewriter: Parameters<Rounding>[3]['rewriter']): Bounds | undefined {
  if (node.op === 'relu') return [0, Number.POSITIVE_INFINITY];
  if (node.inputs.slice(1).some((name) => name !== '' && !rewriter.tensor(name))) return undefined;
  const { low, high } = clipBounds(rewriter.view(node));
  return Number.isNaN(low) || Number.isNaN(high) ? undefined : [low, high];
}
