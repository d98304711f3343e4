import { describe } from '../../errors';
import { onnxTypeOf } from '../data-types';
import type { DataType } from '../graph';
import { numbersOf } from '../tensors';
import { Writer } from './builder';
import { mapConstants } from './elementwise';
import {
  type Additions,
  attribute,
  broadcastDims,
  broadcastsPerImage,
  defineOp,
  derived,
  type FileNode,
  type Op,
  type OpNode,
  operand,
  unfit,
} from './op';

/** A function of two numbers, with broadcasting. `kind` is its name in the engine. */
function binary(
  onnx: string,
  kind: string,
  compute: (a: number, b: number, type: DataType) => number,
  type?: DataType,
): Op {
  return defineOp({
    onnx,
    inputs: [2, 2],
    attributes: {},
    infer: (node) => [{ type: type ?? commonType(node), dims: pairDims(node) }],
    evaluate: (node) =>
      mapConstants(node, type ?? commonType(node), (a, b) => compute(a as number, b as number, commonType(node))),
    isPerImage: broadcastsPerImage,
    lower: () => ({ op: 'binary', attributes: { kind } }),
  });
}

function pairDims(node: OpNode): number[] {
  return broadcastDims(node, [operand(node, 0).dims, operand(node, 1).dims]);
}

/** For Pow: exponents may be of another type. */
function commonType(node: OpNode): DataType {
  const [a, b] = [operand(node, 0), operand(node, 1)];
  if (a.type === b.type || node.node.op === 'pow') return a.type;
  throw unfit(node, 'operands of one type', `${a.type} and ${b.type}`);
}

/** Integers are divided as in C: the result is rounded towards zero. */
function divide(a: number, b: number, type: DataType): number {
  return type === 'float32' ? a / b : Math.trunc(a / b);
}

const truth = (test: (a: number, b: number) => boolean) => (a: number, b: number) => Number(test(a, b));

export const binaryOps = {
  add: binary('Add', 'add', (a, b) => a + b),
  sub: binary('Sub', 'sub', (a, b) => a - b),
  mul: binary('Mul', 'mul', (a, b) => a * b),
  div: binary('Div', 'div', divide),
  pow: mixedTypes(binary('Pow', 'pow', (a, b) => a ** b)),
  min: manyOperands(binary('Min', 'min', (a, b) => Math.min(a, b))),
  max: manyOperands(binary('Max', 'max', (a, b) => Math.max(a, b))),
  equal: binary(
    'Equal',
    'equal',
    truth((a, b) => a === b),
    'bool',
  ),
  greater: binary(
    'Greater',
    'greater',
    truth((a, b) => a > b),
    'bool',
  ),
  greaterOrEqual: binary(
    'GreaterOrEqual',
    'greaterOrEqual',
    truth((a, b) => a >= b),
    'bool',
  ),
  less: binary(
    'Less',
    'less',
    truth((a, b) => a < b),
    'bool',
  ),
  lessOrEqual: binary(
    'LessOrEqual',
    'lessOrEqual',
    truth((a, b) => a <= b),
    'bool',
  ),
  and: binary(
    'And',
    'and',
    truth((a, b) => a !== 0 && b !== 0),
    'bool',
  ),
  or: binary(
    'Or',
    'or',
    truth((a, b) => a !== 0 || b !== 0),
    'bool',
  ),
  xor: binary(
    'Xor',
    'xor',
    truth((a, b) => (a !== 0) !== (b !== 0)),
    'bool',
  ),
};

/** Pow with base and exponent of different types is computed in float. A square is a product, which has a kernel. */
function mixedTypes(op: Op): Op {
  return {
    ...op,
    lower(node) {
      const [x, exponent] = [operand(node, 0), operand(node, 1)];
      const isSquare =
        exponent.tensor && numbersOf(exponent.tensor).length === 1 && numbersOf(exponent.tensor)[0] === 2;
      const keepsDims = exponent.dims.length <= x.dims.length;
      if (!isSquare || !keepsDims) return { op: 'binary', attributes: { kind: 'pow' } };
      return { op: 'binary', inputs: [0, 0], attributes: { kind: 'mul' } };
    },
    writeOut({ node, inputs: [base, exponent] }, builder) {
      if (!base || base.type === exponent?.type) return undefined;
      const write = new Writer(node, builder);
      const [x, y] = node.inputs.map((name) => write.add('cast', [name], { to: onnxTypeOf('float32') }));
      const power = write.add('pow', [x as string, y as string]);
      return write.last('cast', [power], { to: onnxTypeOf(base.type) });
    },
  };
}

/** Turns a node with three operands or more into a chain of nodes with two. */
function manyOperands(op: Op): Op {
  return { ...op, inputs: [1, 2 ** 16], upgrade: (node, _, additions) => chain(node, node.op, additions) };
}

function chain(node: FileNode, op: string, additions: Additions): FileNode[] {
  const [first = '', ...others] = node.inputs;
  if (others.length === 0) return [{ ...node, op: 'Identity' }];
  const nodes: FileNode[] = [];
  others.forEach((other, i) => {
    const inputs = [nodes.at(-1)?.outputs[0] ?? first, other];
    nodes.push(i === others.length - 1 ? { ...node, op, inputs } : derived(node, `${i}`, op, inputs, additions));
  });
  return nodes;
}

/** That of a file becomes a chain of additions. In a graph for training, all operands have the same dims. */
export const sum: Op = {
  ...manyOperands(binaryOps.add),
  onnx: 'Sum',
  upgrade: (node, _, add) => chain(node, 'Add', add),
  lower: () => ({ op: 'sum' }),
};

/** The sum of any number of operands, divided by their number. */
export const mean: Op = {
  ...sum,
  onnx: 'Mean',
  upgrade(node, _, additions) {
    const total = additions.name(`${node.outputs[0]}/sum`);
    const count = additions.tensor({ type: 'float32', dims: [], data: Float32Array.of(node.inputs.length) });
    return [
      ...chain({ ...node, name: total, outputs: [total] }, 'Add', additions),
      { ...node, op: 'Div', inputs: [total, count] },
    ];
  },
};

/** x where it is not negative, else slope * x. */
export const pRelu = defineOp({
  onnx: 'PRelu',
  inputs: [2, 2],
  attributes: {},
  infer(node) {
    const { type, dims } = operand(node, 0);
    broadcastDims(node, [dims, operand(node, 1).dims]);
    return [{ type, dims }];
  },
  evaluate: (node) =>
    mapConstants(node, operand(node, 0).type, (x, slope) =>
      (x as number) < 0 ? (x as number) * (slope as number) : (x as number),
    ),
  isPerImage: broadcastsPerImage,
  lower: () => ({ op: 'binary', attributes: { kind: 'prelu' } }),
});

/** The remainder, with the sign of the divisor, or with `fmod` that of the dividend. */
export const mod = defineOp({
  onnx: 'Mod',
  inputs: [2, 2],
  attributes: { fmod: attribute('int', 0) },
  infer: (node) => [{ type: commonType(node), dims: pairDims(node) }],
  evaluate: (node) =>
    mapConstants(node, commonType(node), (a = 0, b = 1) => (node.attributes.fmod ? a % b : a - Math.floor(a / b) * b)),
  isPerImage: broadcastsPerImage,
  lower(node) {
    if (node.attributes.fmod === 0 && commonType(node) === 'float32') {
      throw unfit(node, 'fmod 1 for floats', describe(node.attributes.fmod));
    }
    return { op: 'binary', attributes: { kind: node.attributes.fmod ? 'fmod' : 'mod' } };
  },
});

/** Inputs: condition, and the values to take where it is true and where it is false. */
export const where = defineOp({
  onnx: 'Where',
  inputs: [3, 3],
  attributes: {},
  infer: (node) => [
    {
      type: operand(node, 1).type,
      dims: broadcastDims(
        node,
        [0, 1, 2].map((i) => operand(node, i).dims),
      ),
    },
  ],
  evaluate: (node) => mapConstants(node, operand(node, 1).type, (test, a, b) => (test ? (a as number) : (b as number))),
  isPerImage: broadcastsPerImage,
  lower: () => ({ op: 'where' }),
});
