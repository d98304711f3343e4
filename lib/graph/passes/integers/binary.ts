import type { GraphNode } from '../../graph';
import { tensorOf } from '../../tensors';
import type { Integers, Rounding } from './context';
import { type Bytes, mapDims, named, type Scale } from './parameters';

const kinds: Readonly<Record<string, boolean>> = { add: true, mul: true, sub: false };

/** A sum, difference or product of bytes with the same dims, or of bytes and one number per channel of an image. */
export const binary: Rounding = (node, to, at, integers) => {
  if (!(node.op in kinds)) return undefined;
  const [first, second] = node.inputs.map((name) => integers.read(name));
  if (!first || !second) return withConstant(first, second, node, to, at, integers);
  const pair = paired(first, second, node, integers);
  if (!pair) return undefined;
  const [a, b] = pair;
  if (!hasRoom(node.op, a, b, to)) return undefined;
  const attributes = { kind: node.op, ...named('a', a), ...named('b', b), ...named('output', to) };
  const name = integers.add(at, node.name, 'quantizedBinary', [a.name, b.name], attributes, integers.dims(a));
  return { ...to, name };
};

/** Limit of results before they are clamped to 256 steps, in steps of the output. No useful scale comes near it. */
const mostSteps = 2 ** 22;

function hasRoom(op: string, a: Scale, b: Scale, to: Scale): boolean {
  const most = op === 'mul' ? a.scale * b.scale * 255 * 255 : (a.scale + b.scale) * 255;
  return most / to.scale < mostSteps / 2;
}

/** The operands in the order that the engine needs. */
function paired(a: Bytes, b: Bytes, node: GraphNode, integers: Integers): readonly [Bytes, Bytes] | undefined {
  // Operands of fewer dims are broadcast along other axes than their maps would be.
  const [rank, ...ranks] = [...node.outputs, ...node.inputs].map((name) => integers.rewriter.dims(name).length);
  if (ranks.some((other) => other !== rank)) return undefined;
  const fits = ([large, small]: readonly [Bytes, Bytes]): boolean => {
    const [dims, other] = [integers.dims(large), integers.dims(small)];
    const gate = [dims[0], dims[1], 1, 1];
    return `${dims}` === `${other}` || `${gate}` === `${other}`;
  };
  const ways: (readonly [Bytes, Bytes])[] = kinds[node.op]
    ? [
        [a, b],
        [b, a],
      ]
    : [[a, b]];
  return ways.find(fits);
}

/** Bytes and one number per channel. */
function withConstant(
  first: Bytes | undefined,
  second: Bytes | undefined,
  node: GraphNode,
  to: Scale,
  at: GraphNode,
  integers: Integers,
): Bytes | undefined {
  const bytes = first ?? second;
  const constant = integers.constant(node.inputs[first ? 1 : 0] as string);
  const dims = bytes && integers.dims(bytes);
  if (!bytes || !constant || !dims || !(first || kinds[node.op])) return undefined;
  const perChannel = [1, dims[1], 1, 1].slice(-Math.max(constant.dims.length, 3));
  if (!hasRoom(node.op, bytes, constant, to)) return undefined;
  const result = integers.rewriter.dims(node.outputs[0]);
  const isOne = constant.integers.length === 1 && `${mapDims(result)}` === `${dims}`;
  if (!isOne && !(result.length === 4 && `${constant.dims}` === `${perChannel}`)) return undefined;
  const name = integers.rewriter.addTensor(
    `${node.name}/constant`,
    tensorOf('uint8', constant.dims, constant.integers),
  );
  const attributes = { kind: node.op, ...named('a', bytes), ...named('b', constant), ...named('output', to) };
  return { ...to, name: integers.add(at, node.name, 'quantizedBinary', [bytes.name, name], attributes, dims) };
}
