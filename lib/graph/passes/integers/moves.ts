import type { GraphNode } from '../../graph';
import { constantNumber } from '../../ops/op';
import { nodeOf } from '../../rewriter';
import { tensorOf } from '../../tensors';
import type { Integers, Reading, Rounding } from './context';
import { type Bytes, sameScale } from './parameters';

/** Operators that move numbers, or pick the largest of some: they do the same to bytes. */
const moving: Readonly<Record<string, (node: GraphNode, integers: Integers) => boolean>> = {
  maxPool: () => true,
  slice: () => true,
  resize: ({ attributes }) =>
    attributes.mode === 'nearest' && attributes.coordinate_transformation_mode !== 'tf_crop_and_resize',
  /** Zeros can be padded, because bytes can represent zero. */
  pad: (node, { rewriter }) => {
    const isConstant = node.attributes.mode === 'constant' && Boolean(node.inputs[2]);
    return !isConstant || constantNumber(rewriter.view(node), 2) === 0;
  },
};

/** Rounds the input, then moves its bytes. */
export const roundMoved: Rounding = (node, to, at, integers) => {
  if (!isMoving(node, integers)) return undefined;
  const bytes = integers.tryRound(node.inputs[0] as string, to, at);
  return bytes && moved(node, bytes, at, integers);
};

/** Moves the bytes that represent the input. */
export const readMoved: Reading = (node, integers) => {
  if (!isMoving(node, integers)) return undefined;
  const bytes = integers.read(node.inputs[0] as string);
  return bytes && moved(node, bytes, node, integers);
};

function isMoving(node: GraphNode, integers: Integers): boolean {
  const isImage = integers.rewriter.dims(node.inputs[0]).length === 4;
  return isImage && (moving[node.op]?.(node, integers) ?? false);
}

function moved(node: GraphNode, bytes: Bytes, at: GraphNode, integers: Integers): Bytes {
  const inputs = [bytes.name, ...node.inputs.slice(1)];
  const dims = integers.rewriter.dims(node.outputs[0]);
  return { ...bytes, name: integers.add(at, node.name, node.op, inputs, node.attributes, dims) };
}

/** Rounds each operand and joins the bytes, if one of the operands is bytes already or a sum of products. */
export const roundConcat: Rounding = (node, to, at, integers) => {
  if (!joinsChannels(node, integers)) return undefined;
  const tried = node.inputs.map((name) => integers.tryRound(name, to, at));
  if (!tried.some((part) => part)) return undefined;
  const parts = tried.map((part, i) => part ?? integers.round(node.inputs[i] as string, to, at));
  return joined(node, parts, at, integers);
};

export const readConcat: Reading = (node, integers) => {
  if (!joinsChannels(node, integers)) return undefined;
  const parts = node.inputs.map((name) => integers.read(name));
  const [first] = parts;
  if (!first || !parts.every((part) => part && sameScale(part, first))) return undefined;
  return joined(node, parts as Bytes[], node, integers);
};

function joinsChannels({ attributes, outputs }: GraphNode, { rewriter }: Integers): boolean {
  return rewriter.dims(outputs[0]).length === 4 && (attributes.axis === 1 || attributes.axis === -3);
}

function joined(node: GraphNode, parts: readonly Bytes[], at: GraphNode, integers: Integers): Bytes {
  const names = parts.map(({ name }) => name);
  const dims = integers.rewriter.dims(node.outputs[0]);
  return { ...(parts[0] as Bytes), name: integers.add(at, node.name, 'concat', names, node.attributes, dims) };
}

/** Splits the bytes of the input. */
export const readSplit: Reading = (node, integers, value) => {
  const { rewriter } = integers;
  const dims = rewriter.dims(node.inputs[0]);
  const bytes = dims.length === 4 ? integers.read(node.inputs[0] as string) : undefined;
  if (!bytes) return undefined;
  const axis = ((node.attributes.axis as number) + dims.length) % dims.length;
  const lengths = node.outputs.map((name) => rewriter.dims(name)[axis] as number);
  const place = node.outputs.indexOf(value);
  const start = lengths.slice(0, place).reduce((sum, length) => sum + length, 0);
  const range = [start, start + (lengths[place] as number), axis].map((number) =>
    rewriter.addTensor(`${node.name}/range`, tensorOf('int64', [1], [number])),
  );
  const { attributes } = nodeOf(node, 'slice', []);
  return {
    ...bytes,
    name: integers.add(node, value, 'slice', [bytes.name, ...range], attributes, rewriter.dims(value)),
  };
};

/** [n, c, 1, 1] and [n, c] are the same bytes. */
export const readReshape: Reading = (node, integers) =>
  isPixel(node, integers) ? integers.read(node.inputs[0] as string) : undefined;

export const roundReshape: Rounding = (node, to, at, integers) =>
  isPixel(node, integers) ? integers.tryRound(node.inputs[0] as string, to, at) : undefined;

function isPixel(node: GraphNode, { rewriter }: Integers): boolean {
  const [from, into] = [node.inputs[0], node.outputs[0]].map((name) => {
    const dims = rewriter.dims(name);
    return dims.length === 2 ? [...dims, 1, 1] : dims;
  }) as [readonly number[], readonly number[]];
  return from.length === 4 && from[2] === 1 && from[3] === 1 && `${from}` === `${into}`;
}
