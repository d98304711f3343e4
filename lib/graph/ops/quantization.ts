import { describeList } from '../../errors';
import { dataTypeOf, onnxTypeOf } from '../data-types';
import type { GraphNode } from '../graph';
import { numbersOf, stridesOf, tensorOf } from '../tensors';
import { type Builder, Writer } from './builder';
import { checkConv, convDims } from './conv';
import { roundEven } from './elementwise';
import { matMulDims } from './mat-mul';
import { attribute, axisOf, defineOp, type OpNode, operand, type SketchNode, tensorAt, unfit, unsupported } from './op';
import { windowAttributes } from './window';

const attributes = {
  axis: attribute('int', 1),
  block_size: attribute('int', 0),
  output_dtype: attribute('int', 0),
  saturate: attribute('int', 1),
};

type QuantizationNode = OpNode<typeof attributes>;

/** Smallest and largest integer. */
const ranges = { uint8: [0, 255], int8: [-128, 127] } as const;

/**
 * round(x / scale) + zero point, as an integer of 8 bits. Inputs: x, scale, zero point (unsigned 0 if absent). There is one scale,
 * or one for each position of an axis. NaN becomes the lowest integer.
 */
export const quantizeLinear = defineOp({
  onnx: 'QuantizeLinear',
  inputs: [2, 3],
  attributes,
  isPerImage: hasFixedParameters,
  /** A zero point alone says which integers. */
  upgrade(node, _, additions) {
    const type = dataTypeOf(Number(node.attributes.get('output_dtype') ?? 0));
    const [x = '', scale = '', zero = ''] = node.inputs;
    if (zero || (type !== 'uint8' && type !== 'int8')) return [node];
    const attributes = new Map(node.attributes);
    attributes.delete('output_dtype');
    return [{ ...node, attributes, inputs: [x, scale, additions.tensor(tensorOf(type, [], [0]))] }];
  },
  check(node) {
    checkBlocks(node);
    if (!node.node.inputs[2] || node.inputs[2]) roundedType(node);
  },
  infer(node) {
    checkParameters(node);
    return [{ type: roundedType(node), dims: operand(node, 0).dims }];
  },
  evaluate(node) {
    checkParameters(node);
    const type = roundedType(node);
    const { dims } = operand(node, 0);
    const position = positions(node);
    const [x, scale, zero] = [0, 1, 2].map((i) => (node.inputs[i] ? numbersOf(tensorAt(node, i)) : [0]));
    const at = (list: ArrayLike<number> | undefined, i: number) =>
      list?.[list.length === 1 ? 0 : position(i)] as number;
    const rounded = Float64Array.from(x as ArrayLike<number>, (value, i) =>
      roundedByte(value, at(scale, i), at(zero, i), type),
    );
    return [tensorOf(type, dims, rounded)];
  },
  writeOut(node, builder) {
    const { write, scale, zero } = parametersOf(node, builder);
    return quantized(write, node.node.inputs[0] as string, scale, zero, roundedType(node));
  },
});

/** (x - zero point) * scale. Not folded if constant, so that passes find weights in integers. */
export const dequantizeLinear = defineOp({
  onnx: 'DequantizeLinear',
  inputs: [2, 3],
  attributes,
  isPerImage: hasFixedParameters,
  check(node) {
    checkBlocks(node);
  },
  infer(node) {
    checkParameters(node);
    const [x, zero] = [operand(node, 0), node.inputs[2]];
    if (zero && zero.type !== x.type) throw unfit(node, `a zero point of ${x.type}, as its input is`, zero.type);
    return [{ type: 'float32', dims: x.dims }];
  },
  writeOut(node, builder) {
    const { write, scale, zero } = parametersOf(node, builder);
    return write.last('mul', [centred(write, node.node.inputs[0] as string, zero), scale]);
  },
});

/** Rounds a number to an integer, every operation in float32. */
export function roundedByte(value: number, scale: number, zeroPoint: number, type: 'uint8' | 'int8' = 'uint8'): number {
  const [low, high] = ranges[type];
  const steps = roundEven(Math.fround(Math.fround(value) / scale));
  return Number.isNaN(steps) ? low : Math.min(high, Math.max(low, steps + zeroPoint));
}

const convAttributes = { ...windowAttributes, group: attribute('int', 1) };

/** A convolution of integers that outputs 32 bits. Inputs: x, weight, zero points of both. Sums are exact up to 2^24. */
export const convInteger = defineOp({
  onnx: 'ConvInteger',
  inputs: [2, 4],
  parameters: [1, 3],
  attributes: convAttributes,
  // The other inputs are zero points.
  check: (node) => checkConv({ ...node, inputs: node.inputs.slice(0, 2) }),
  infer: (node) => [{ type: 'int32', dims: convDims(node) }],
  writeOut: (node, builder) => sumsOf(node, 'conv', builder),
});

/** A product of matrices of integers; see {@link convInteger}. */
export const matMulInteger = defineOp({
  onnx: 'MatMulInteger',
  inputs: [2, 4],
  attributes: {},
  infer: (node) => [{ type: 'int32', dims: matMulDims(node) }],
  writeOut: (node, builder) => sumsOf(node, 'matMul', builder),
});

function sumsOf(node: OpNode, op: string, builder: Builder): GraphNode {
  const write = new Writer(node.node, builder);
  const [x = '', weight = '', xZero = '', weightZero = ''] = node.node.inputs;
  const operands = [centred(write, x, floats(write, xZero)), centred(write, weight, floats(write, weightZero))];
  return write.last('cast', [write.add(op, operands, node.node.attributes)], { to: onnxTypeOf('int32') });
}

/** Inputs: x, weight, each with scale and zero point; those of the output; bias. Read as a convolution between conversions. */
export const qLinearConv = defineOp({
  onnx: 'QLinearConv',
  inputs: [8, 9],
  attributes: convAttributes,
  check(node) {
    byteType(node, 7);
    checkConv({ ...node, inputs: [node.inputs[0], node.inputs[3], node.inputs[8]] });
  },
  infer: (node) => [{ type: byteType(node, 7), dims: convDims({ ...node, inputs: [node.inputs[0], node.inputs[3]] }) }],
});

/** Inputs: a, b, each with scale and zero point; those of the output. Read as a product between conversions. */
export const qLinearMatMul = defineOp({
  onnx: 'QLinearMatMul',
  inputs: [8, 8],
  attributes: {},
  check(node) {
    byteType(node, 7);
  },
  infer: (node) => [
    { type: byteType(node, 7), dims: matMulDims({ ...node, inputs: [node.inputs[0], node.inputs[3]] }) },
  ],
});

function hasFixedParameters({ inputs }: QuantizationNode): boolean {
  return inputs.slice(1).every((input) => input === undefined || input.tensor !== undefined);
}

function checkBlocks(node: SketchNode<typeof attributes>): void {
  const { block_size: size } = node.attributes;
  if (size !== 0) throw unsupported(node, 'one scale, or one for each position of an axis', `blocks of ${size}`);
}

/** There must be one scale and zero point, or one for each position of the axis. */
function checkParameters(node: QuantizationNode): void {
  const { dims } = operand(node, 0);
  checkBlocks(node);
  for (const parameter of node.inputs.slice(1)) {
    if (!parameter || parameter.dims.length === 0 || (parameter.dims.length === 1 && parameter.dims[0] === 1)) continue;
    const length = dims[axisOf(node, node.attributes.axis, dims.length)];
    if (parameter.dims.length === 1 && parameter.dims[0] === length) continue;
    const expected = `one scale and zero point, or ${length} as axis ${node.attributes.axis} has`;
    throw unfit(node, expected, describeList(parameter.dims));
  }
}

/** Maps the index of an element to its position on the axis. */
function positions(node: QuantizationNode): (i: number) => number {
  const { dims } = operand(node, 0);
  if (dims.length === 0) return () => 0;
  const axis = node.inputs[1]?.dims.length === 0 ? 0 : axisOf(node, node.attributes.axis, dims.length);
  const [stride, length] = [stridesOf(dims)[axis] as number, dims[axis] as number];
  return (i) => Math.floor(i / stride) % length;
}

function parametersOf(node: QuantizationNode, builder: Builder) {
  const write = new Writer(node.node, builder);
  const { dims } = operand(node, 0);
  const axis = axisOf(node, node.attributes.axis, Math.max(dims.length, 2));
  const place = (name: string, input: number): string =>
    along(write, name, operand(node, input).dims, axis, dims.length);
  const zero = node.inputs[2] ? place(floats(write, node.node.inputs[2] as string), 2) : '';
  return { write, scale: place(node.node.inputs[1] as string, 1), zero };
}

/** Reshapes one number per position of an axis so that it is broadcast along the other axes. */
function along(write: Writer, name: string, dims: readonly number[], axis: number, rank: number): string {
  if (dims.length !== 1 || dims[0] === 1 || rank < 2) return name;
  const shape = [dims[0] as number, ...Array<number>(rank - axis - 1).fill(1)];
  return write.reshape(name, shape);
}

function quantized(write: Writer, x: string, scale: string, zero: string, type: 'uint8' | 'int8'): GraphNode {
  const rounded = write.add('round', [write.add('div', [x, scale])]);
  const [low, high] = ranges[type];
  const shifted = zero ? write.add('add', [rounded, zero]) : rounded;
  const clipped = write.add('clip', [shifted, write.number(low), write.number(high)]);
  return write.last('cast', [clipped], { to: onnxTypeOf(type) });
}

function centred(write: Writer, x: string, zero: string): string {
  return zero ? write.add('sub', [floats(write, x), zero]) : floats(write, x);
}

function floats(write: Writer, name: string): string {
  return name ? write.add('cast', [name], { to: onnxTypeOf('float32') }) : '';
}

/** Type of the integers that a QuantizeLinear makes. */
function roundedType(node: SketchNode<typeof attributes>): 'uint8' | 'int8' {
  const { output_dtype: number } = node.attributes;
  const type = byteType(node, 2);
  if (number === 0 || dataTypeOf(number) === type) return type;
  const asked = byte(node, dataTypeOf(number) ?? `type ${number} of ONNX`);
  throw unfit(node, `output_dtype ${onnxTypeOf(type)}, as the zero point is ${type}`, `that of ${asked}`);
}

/** Type of a zero point, and so of the output. @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for 16 bits */
function byteType(node: Pick<SketchNode, 'inputs' | 'place'>, index: number): 'uint8' | 'int8' {
  return byte(node, node.inputs[index]?.type ?? 'uint8');
}

function byte(node: Pick<OpNode, 'place'>, type: string): 'uint8' | 'int8' {
  if (type === 'uint8' || type === 'int8') return type;
  // A graph has integers of 16 bits in wider types.
  throw unsupported(node, 'integers of 8 bits', type === 'int32' ? 'wider ones' : type);
}
