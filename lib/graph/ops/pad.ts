import { describeList } from '../../errors';
import type { GraphNode } from '../graph';
import { type Builder, Writer } from './builder';
import {
  attribute,
  axisOf,
  constantList,
  constantNumber,
  defineOp,
  type OpNode,
  operand,
  unfit,
  unsupported,
} from './op';

const attributes = { mode: attribute('text', 'constant') };

const modes = ['constant', 'reflect', 'edge', 'wrap'];

/** Inputs: x, all beginnings then all ends (negative ones crop), value, axes (default: all). */
export const pad = defineOp({
  onnx: 'Pad',
  inputs: [2, 4],
  parameters: [1, 2, 3],
  attributes,
  moved: [
    { attribute: 'pads', input: 1, opset: 11 },
    { attribute: 'value', input: 2, opset: 11 },
  ],
  check(node) {
    const { mode } = node.attributes;
    if (!modes.includes(mode)) throw unsupported(node, `mode ${modes.join(', ')}`, mode);
  },
  infer(node) {
    const { type, dims } = operand(node, 0);
    const { begins, ends } = padsOf(node);
    const padded = dims.map((dim, axis) => dim + (begins[axis] as number) + (ends[axis] as number));
    if (padded.some((dim) => dim < 0)) throw unfit(node, 'dims from 0', describeList(padded));
    if (node.attributes.mode === 'reflect') checkReflection(node);
    if (node.attributes.mode === 'wrap' && dims.includes(0)) throw unfit(node, 'dims from 1', describeList(dims));
    return [{ type, dims: padded }];
  },
  writeOut(node, builder) {
    const { begins, ends } = padsOf(node);
    if (node.attributes.mode === 'wrap') return wrapped(node, builder);
    if ([...begins, ...ends].every((count) => count >= 0)) return undefined;
    const write = new Writer(node.node, builder);
    const [x = '', , ...others] = node.node.inputs;
    const starts = begins.map((count) => Math.max(0, -count));
    const stops = operand(node, 0).dims.map((dim, axis) => dim + Math.min(0, ends[axis] as number));
    const kept = write.add('slice', [x, write.integers(starts), write.integers(stops)]);
    const more = [...begins, ...ends].map((count) => Math.max(0, count));
    return write.last('pad', [kept, write.integers(more), ...others.slice(0, 1)], node.node.attributes);
  },
  isPerImage(node) {
    const { begins, ends } = padsOf(node);
    return begins[0] === 0 && ends[0] === 0;
  },
  lower(node) {
    const { begins, ends } = padsOf(node);
    const { mode } = node.attributes;
    const value = constantNumber(node, 2) ?? 0;
    return { op: 'pad', inputs: [0], attributes: { mode, before: begins, after: ends, value } };
  },
});

/** Repeats x along each axis that is padded. Negative padding crops. */
function wrapped(node: OpNode, builder: Builder): GraphNode {
  const write = new Writer(node.node, builder);
  const { begins, ends } = padsOf(node);
  const x = operand(node, 0).dims.reduce((source, dim, axis) => {
    const [begin, end] = [begins[axis] as number, ends[axis] as number];
    if (begin === 0 && end === 0) return source;
    const places = Array.from({ length: begin + dim + end }, (_, i) => (((i - begin) % dim) + dim) % dim);
    return write.add('gather', [source, write.integers(places)], { axis });
  }, node.node.inputs[0] as string);
  return write.last('identity', [x]);
}

/** A pad shows each element beside the border at most once, and not the border itself. */
function checkReflection(node: OpNode): void {
  const { begins, ends } = padsOf(node);
  operand(node, 0).dims.forEach((dim, axis) => {
    const [begin, end] = [begins[axis], ends[axis]] as [number, number];
    const kept = dim + Math.min(0, begin) + Math.min(0, end);
    if (Math.max(begin, end) > Math.max(0, kept - 1))
      throw unfit(node, `pads below ${kept}, the length of axis ${axis}`, String(Math.max(begin, end)));
  });
}

/** Padding of every axis. */
export function padsOf(node: OpNode): { begins: number[]; ends: number[] } {
  const rank = operand(node, 0).dims.length;
  const pads = constantList(node, 1) ?? [];
  const axes = (constantList(node, 3) ?? Array.from({ length: rank }, (_, i) => i)).map((axis) =>
    axisOf(node, axis, rank),
  );
  if (pads.length !== 2 * axes.length || pads.some((count) => Math.abs(count) > 2 ** 31)) {
    throw unfit(node, `${2 * axes.length} numbers`, describeList(pads));
  }
  const [begins, ends] = [Array<number>(rank).fill(0), Array<number>(rank).fill(0)];
  axes.forEach((axis, i) => {
    begins[axis] = pads[i] as number;
    ends[axis] = pads[i + axes.length] as number;
  });
  return { begins, ends };
}
