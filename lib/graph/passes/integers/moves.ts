import { type GraphNode, sameDims } from '../../graph';
import { isMover, movedInputs } from '../../movers';
import { constantNumber } from '../../ops/op';
import { nodeOf } from '../../rewriter';
import { tensorOf } from '../../tensors';
import type { Integers, Reading, Rounding } from './context';
import { type Bytes, mapDims, sameScale, scaleOf } from './parameters';

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
  const bytes = integers.tryRoundMap(node.inputs[0] as string, to, at);
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
  const tried = node.inputs.map((name) => integers.tryRoundMap(name, to, at));
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

/** Whether a node joins maps along their channels. */
function joinsChannels({ attributes, outputs }: GraphNode, { rewriter }: Integers): boolean {
  const { length } = rewriter.dims(outputs[0]);
  const axis = attributes.axis as number;
  return (length === 3 || length === 4) && (axis < 0 ? axis + length : axis) === 1;
}

function joined(node: GraphNode, parts: readonly Bytes[], at: GraphNode, integers: Integers): Bytes {
  const names = parts.map(({ name }) => name);
  const dims = mapDims(integers.rewriter.dims(node.outputs[0])) as readonly number[];
  return { ...(parts[0] as Bytes), name: integers.add(at, node.name, 'concat', names, { axis: 1 }, dims) };
}

/** Splits the bytes of the input. */
export const readSplit: Reading = (node, integers, value) => {
  const { rewriter } = integers;
  const bytes = rewriter.dims(node.inputs[0]).length === 4 ? integers.read(node.inputs[0] as string) : undefined;
  if (!bytes) return undefined;
  const { op, inputs, attributes } = part(node, value, bytes, integers);
  return { ...bytes, name: integers.add(node, value, op, inputs, attributes, rewriter.dims(value)) };
};

/** The part of the bytes of a split that is an output. */
function part({ name, attributes, inputs, outputs }: GraphNode, value: string, bytes: Bytes, { rewriter }: Integers) {
  const rank = rewriter.dims(inputs[0]).length;
  const axis = ((attributes.axis as number) + rank) % rank;
  const lengths = outputs.map((output) => rewriter.dims(output)[axis] as number);
  const place = outputs.indexOf(value);
  const start = lengths.slice(0, place).reduce((sum, length) => sum + length, 0);
  const range = [start, start + (lengths[place] as number), axis].map((number) =>
    rewriter.addTensor(`${name}/range`, tensorOf('int64', [1], [number])),
  );
  return nodeOf({ name, outputs: [] }, 'slice', [bytes.name, ...range]);
}

/** What a reshape has as a map may be a map already: [n, c, 1, 1] and [n, c] are the same bytes. */
export const readReshape: Reading = (_, integers, value) => {
  const dims = mapDims(integers.rewriter.dims(value));
  const source = dims && sameMap(value, dims, integers);
  return source === undefined || source === value ? undefined : integers.read(source);
};

export const roundReshape: Rounding = ({ inputs: [from = ''], outputs: [into] }, to, at, integers) => {
  const [a, b] = [from, into].map((name) => `${mapDims(integers.rewriter.dims(name))}`);
  return a === b ? integers.tryRound(from, to, at) : undefined;
};

/** Of a value and those that it was reshaped from, the first one that has these dims as a map. */
export function sameMap(value: string, dims: readonly number[], { rewriter }: Integers): string | undefined {
  let found: string | undefined;
  for (let name: string | undefined = value; name !== undefined; ) {
    if (sameDims(mapDims(rewriter.dims(name)) ?? [], dims)) found = name;
    const node = rewriter.maker(name);
    name = node && isReshape(node) ? node.inputs[0] : undefined;
  }
  return found;
}

function isReshape({ op, activation }: GraphNode): boolean {
  return (op === 'reshape' || op === 'identity') && !activation;
}

/** Whether a node moves numbers in a way that maps do not: it takes bytes as tensors of any dims. */
export function movesRows(node: GraphNode, integers: Integers): boolean {
  if (node.op === 'concat') return !joinsChannels(node, integers);
  const takesMaps = node.op === 'slice' || node.op === 'split';
  return isMover(node) && !(takesMaps && integers.rewriter.dims(node.inputs[0]).length === 4);
}

/** The bytes that represent the output of a node, with its dims. */
export const readRows: Reading = (node, integers, value) => {
  const { rewriter } = integers;
  if (node.op === 'dequantizeLinear') {
    const scale = scaleOf(node, rewriter);
    return scale && { ...scale, name: node.inputs[0] as string };
  }
  if (movesRows(node, integers)) return movedRows(node, value, (name) => integers.rows(name), node, integers);
  const bytes = integers.read(value);
  return bytes && integers.reshaped(bytes, rewriter.dims(value), node);
};

/** Moves the bytes that `rowsOf` says for the inputs, if they are of one scale and type. */
export function movedRows(
  node: GraphNode,
  value: string,
  rowsOf: (name: string) => Bytes | undefined,
  at: GraphNode,
  integers: Integers,
): Bytes | undefined {
  const { rewriter } = integers;
  const parts = movedInputs(node).map(rowsOf);
  const [first] = parts;
  const type = first && rewriter.value(first.name).type;
  if (!first || !type) return undefined;
  if (!parts.every((part) => part && sameScale(part, first) && rewriter.value(part.name).type === type))
    return undefined;
  const inputs = [...(parts as Bytes[]).map(({ name }) => name), ...node.inputs.slice(parts.length)];
  const {
    op,
    attributes,
    inputs: all,
  } = node.op === 'split' ? part(node, value, first, integers) : { ...node, inputs };
  return {
    ...first,
    name: rewriter.insert(at, node.name, { op, inputs: all, attributes }, { type, dims: rewriter.dims(value) }),
  };
}
