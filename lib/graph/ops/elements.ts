import { describe, describeList } from '../../errors';
import { sizeOf } from '../graph';
import { advance, stridesOf, tensorOf } from '../tensors';
import { Writer } from './builder';
import {
  attribute,
  axisOf,
  constantList,
  constantNumber,
  defineOp,
  namedAxis,
  type Op,
  type OpNode,
  operand,
  unfit,
  unsupported,
} from './op';

/** One element of x for each position: its index is that of the position, but for the axis. Inputs: x, positions along the axis. */
export const gatherElements = defineOp({
  onnx: 'GatherElements',
  inputs: [2, 2],
  attributes: { axis: attribute('int', 0) },
  infer(node) {
    const [{ type, dims }, positions] = [operand(node, 0), operand(node, 1).dims];
    const axis = namedAxis(node);
    const fits = positions.length === dims.length && positions.every((size, i) => i === axis || size <= (dims[i] ?? 0));
    if (!fits) throw unfit(node, `positions for dims ${describeList(dims)}`, describeList(positions));
    return [{ type, dims: positions }];
  },
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const { dims } = operand(node, 0);
    const axis = namedAxis(node);
    const [length, all] = [dims[axis] as number, sizeOf(dims)];
    const number = (value: number): string => write.number(value, 'int64');
    const named = write.add('cast', [node.node.inputs[1] ?? ''], { to: 7, saturate: 1 });
    const isNegative = write.add('less', [named, number(0)]);
    const at = write.add('where', [isNegative, write.add('add', [named, number(length)]), named]);
    const isInside = write.add('and', [
      write.add('greaterOrEqual', [at, number(0)]),
      write.add('less', [at, number(length)]),
    ]);
    const strides = stridesOf(dims);
    const others = eachIndex(operand(node, 1).dims, (index) =>
      index.reduce((sum, position, i) => (i === axis ? sum : sum + position * (strides[i] as number)), 0),
    );
    const along = write.add('mul', [at, number(strides[axis] as number)]);
    const place = write.add('add', [along, write.tensor(tensorOf('int64', operand(node, 1).dims, others))]);
    // As in Gather, positions outside read zeros.
    return write.last(
      'gather',
      [flat(write, node.node.inputs[0] ?? ''), write.add('where', [isInside, place, number(all)])],
      {
        axis: 0,
      },
    );
  },
});

/** Writes updates over elements of x. Inputs: x, positions along the axis, updates. */
export const scatterElements = scatter('ScatterElements', { axis: attribute('int', 0) }, (node) => {
  const { dims } = operand(node, 0);
  const [positions, axis] = [operand(node, 1), axisOf(node, node.attributes.axis as number, dims.length)];
  const strides = stridesOf(dims);
  const named = constantList(node, 1) ?? [];
  let next = 0;
  return eachIndex(positions.dims, (index) => {
    const at = inside(node, named[next++] as number, dims[axis] as number);
    return index.reduce((sum, own, i) => sum + (i === axis ? at : own) * (strides[i] as number), 0);
  });
});

/** Writes updates over slices of x. Inputs: x, lists of positions along its first axes, updates. */
export const scatterNd = scatter('ScatterND', {}, (node) => {
  const { dims } = operand(node, 0);
  const lists = operand(node, 1).dims;
  const depth = lists.at(-1) ?? 0;
  if (depth < 1 || depth > dims.length)
    throw unfit(node, `lists of positions for dims ${describeList(dims)}`, describeList(lists));
  const [strides, inner] = [stridesOf(dims), sizeOf(dims.slice(depth))];
  const named = constantList(node, 1) ?? [];
  const targets: number[] = [];
  for (let list = 0; list < named.length; list += depth) {
    let start = 0;
    for (let i = 0; i < depth; i++)
      start += inside(node, named[list + i] as number, dims[i] as number) * (strides[i] as number);
    for (let i = 0; i < inner; i++) targets.push(start + i);
  }
  return targets;
});

/** An operator that moves updates to places in x which follow from constants: a selection from both, one after the other. */
function scatter(onnx: string, attributes: Op['attributes'], targetsOf: (node: OpNode) => readonly number[]): Op {
  return defineOp({
    onnx,
    inputs: [3, 3],
    parameters: [1],
    attributes: { ...attributes, reduction: attribute('text', 'none') },
    check(node) {
      const { reduction } = node.attributes as { reduction?: string };
      if (reduction !== 'none') throw unsupported(node, 'reduction none', describe(reduction));
    },
    infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
    writeOut(node, builder) {
      const write = new Writer(node.node, builder);
      const { dims } = operand(node, 0);
      const [targets, count] = [targetsOf(node), sizeOf(dims)];
      if (targets.length !== sizeOf(operand(node, 2).dims))
        throw unfit(node, `${targets.length} updates`, describeList(operand(node, 2).dims));
      const sources = Float64Array.from({ length: count }, (_, i) => i);
      targets.forEach((target, i) => {
        sources[target] = count + i;
      });
      const [x = '', , updates = ''] = node.node.inputs;
      const both = write.add('concat', [flat(write, x), flat(write, updates)], { axis: 0 });
      return write.last('gather', [both, write.tensor(tensorOf('int64', dims, sources))], { axis: 0 });
    },
  });
}

/** Numbers `off` with one `on` along a new axis. Inputs: positions, length of the axis, [off, on]. */
export const oneHot = defineOp({
  onnx: 'OneHot',
  inputs: [3, 3],
  parameters: [1],
  attributes: { axis: attribute('int', -1) },
  infer(node) {
    const dims = [...operand(node, 0).dims];
    dims.splice(newAxis(node), 0, depthOf(node));
    return [{ type: operand(node, 2).type, dims }];
  },
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const { type, dims } = operand(node, 0);
    const [axis, depth] = [newAxis(node), depthOf(node)];
    const wide = [...dims.slice(0, axis), 1, ...dims.slice(axis)];
    const along = wide.map((_, i) => (i === axis ? depth : 1));
    const isAt = (shift: number): string =>
      write.add('equal', [
        write.reshape(node.node.inputs[0] ?? '', wide),
        write.tensor(
          tensorOf(
            type,
            along,
            Array.from({ length: depth }, (_, i) => i - shift),
          ),
        ),
      ]);
    const value = (i: number): string =>
      write.add('gather', [node.node.inputs[2] ?? '', write.number(i, 'int64')], { axis: 0 });
    return write.last('where', [write.add('or', [isAt(0), isAt(depth)]), value(1), value(0)]);
  },
});

function newAxis(node: OpNode): number {
  return axisOf(node, node.attributes.axis as number, operand(node, 0).dims.length + 1);
}

function depthOf(node: OpNode): number {
  const depth = constantNumber(node, 1) ?? 0;
  if (Number.isInteger(depth) && depth >= 1) return depth;
  throw unfit(node, 'a length of at least 1', describe(depth));
}

/** Zeros above or below a diagonal of matrices. Inputs: x, the number of the diagonal. */
export const trilu = defineOp({
  onnx: 'Trilu',
  inputs: [1, 2],
  parameters: [1],
  attributes: { upper: attribute('int', 1) },
  infer(node) {
    const { type, dims } = operand(node, 0);
    if (dims.length < 2) throw unfit(node, 'matrices', describeList(dims));
    return [{ type, dims }];
  },
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const { type, dims } = operand(node, 0);
    const diagonal = constantNumber(node, 1) ?? 0;
    const keeps = eachIndex(dims.slice(-2), ([row = 0, column = 0]) =>
      Number(node.attributes.upper ? column - row >= diagonal : column - row <= diagonal),
    );
    const kept = write.tensor(tensorOf('bool', dims.slice(-2), keeps));
    return write.last('where', [kept, node.node.inputs[0] ?? '', write.number(0, type)]);
  },
});

function flat(write: Writer, name: string): string {
  return write.reshape(name, [-1]);
}

/** Calls back with every index of a tensor, row-major; returns the results. */
function eachIndex(dims: readonly number[], of: (index: readonly number[]) => number): number[] {
  const index = dims.map(() => 0);
  return Array.from({ length: sizeOf(dims) }, () => {
    const result = of(index);
    advance(index, dims);
    return result;
  });
}

function inside(node: OpNode, at: number, length: number): number {
  const position = at < 0 ? at + length : at;
  if (position >= 0 && position < length) return position;
  throw unfit(node, `positions from ${-length} to ${length - 1}`, describe(at));
}
