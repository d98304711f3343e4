import type { GraphNode } from '../../graph';
import { clipBounds } from '../../ops/clip';
import { roundedByte } from '../../ops/quantization';
import type { Integers, Reading, Rounding } from './context';
import type { Bytes } from './parameters';

/** A clamp of a value: rounding is monotonic, so the value can be rounded first and the bytes clamped. */
export const clamp: Rounding = (node, to, at, integers) => {
  const bounds = boundsOf(node, integers.rewriter);
  const bytes = bounds && integers.tryRound(node.inputs[0] as string, to, at);
  return bytes && clamped(bounds, bytes, at, integers);
};

/** ReLU of bytes, without rounding: the bytes can represent zero exactly. */
export const readRelu: Reading = (node, integers) => {
  const bytes = integers.read(node.inputs[0] as string);
  return bytes && clamped([0, Number.POSITIVE_INFINITY], bytes, node, integers);
};

type Bounds = readonly [low: number, high: number];

function clamped([low, high]: Bounds, bytes: Bytes, at: GraphNode, integers: Integers): Bytes {
  const { scale, zeroPoint } = bytes;
  const [least, most] = [low, high].map((bound) => roundedByte(bound, scale, zeroPoint)) as [number, number];
  // The type of the bytes has the same bounds.
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
