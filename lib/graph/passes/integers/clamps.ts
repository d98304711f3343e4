import { clipBounds } from '../../ops/clip';
import { roundedByte } from '../../ops/quantization';
import type { Reading, Rounding } from './context';
import type { Scale } from './parameters';

/** What rounds as something else does, and stays within bounds: rounding keeps the order of numbers. */
export const clamp: Rounding = (node, to, at, integers) => {
  const bounds = boundsOf(node, integers.rewriter);
  const bytes = bounds && integers.tryRound(node.inputs[0] as string, to, at);
  if (!bytes) return undefined;
  return integers.table(bytes, clampTable(bounds, to), to, at);
};

/** Zero is one of the numbers that bytes stand for, so that what is not below it is exact. */
export const readRelu: Reading = (node, integers) => {
  const bytes = integers.read(node.inputs[0] as string);
  return bytes && integers.table(bytes, clampTable([0, Number.POSITIVE_INFINITY], bytes), bytes, node);
};

type Bounds = readonly [low: number, high: number];

function clampTable([low, high]: Bounds, { scale, zeroPoint }: Scale): Uint8Array {
  const [least, most] = [low, high].map((bound) => roundedByte(bound, scale, zeroPoint)) as [number, number];
  return Uint8Array.from({ length: 256 }, (_, q) => Math.min(most, Math.max(least, q)));
}

function boundsOf(node: Parameters<Rounding>[0], rewriter: Parameters<Rounding>[3]['rewriter']): Bounds | undefined {
  if (node.op === 'relu') return [0, Number.POSITIVE_INFINITY];
  if (node.inputs.slice(1).some((name) => name !== '' && !rewriter.tensor(name))) return undefined;
  const { low, high } = clipBounds(rewriter.view(node));
  return Number.isNaN(low) || Number.isNaN(high) ? undefined : [low, high];
}
