import type { AttributeValue, DataType, ValueType } from '../graph';
import { conv, convDims } from './conv';
import { convTranspose } from './conv-transpose';
import { broadcastDims, defineOp, type Lowered, type Op, type OpNode, operand } from './op';
import { averagePool } from './pool';

// Operators of the engine that compute in integers of 8 bits. The passes in passes/integers/ make them; no file has them. Their
// attributes, named as in binding.d.ts, say which numbers the bytes represent. The pass that makes an operator checks them.

/** A native node with the attributes unchanged. */
function lowered(op: string, node: OpNode, window: Lowered['attributes'] = {}): Lowered {
  const numbers = Object.entries(node.node.attributes).filter(([name]) => native.test(name));
  return { op, attributes: { ...window, ...(Object.fromEntries(numbers) as Record<string, number>) } };
}

const native = /^(kind|(input|output|table|a|b)(Scale|ZeroPoint))$/;

/** An operator with attributes of the engine. */
function integerOp(op: Omit<Op, 'onnx' | 'attributes'>): Op {
  return defineOp({ onnx: '', attributes: {}, ...op });
}

function sameAs(input: OpNode, type: DataType): ValueType<number>[] {
  return [{ type, dims: operand(input, 0).dims }];
}

/** Bytes if there is an output scale, else floats. */
function storedType({ outputScale }: Readonly<Record<string, AttributeValue | undefined>>): DataType {
  return outputScale === undefined ? 'float32' : 'uint8';
}

/** An operator with the window of the convolution in floats that it is made from. */
function withWindow(name: string, like: Op, dims: (node: OpNode) => readonly number[]): Op {
  return integerOp({
    inputs: [4, 5],
    parameters: [1, 2, 3],
    infer: (node) => [{ type: storedType(node.node.attributes), dims: dims(node) }],
    macs: (node) => like.macs?.(node) ?? 0,
    lower: (node) => lowered(name, node, like.lower?.(asFloats(node))?.attributes),
  });
}

/** The two inputs that the window depends on, as the operator in floats has them. */
function asFloats(node: OpNode): OpNode {
  return { ...node, inputs: node.inputs.slice(0, 2) };
}

function transposedDims(node: OpNode): readonly number[] {
  return (convTranspose.infer(asFloats(node)) as readonly [ValueType<number>])[0].dims;
}

export const integerOps = {
  /** x -> bytes. */
  quantize: integerOp({
    inputs: [1, 1],
    infer: (node) => sameAs(node, 'uint8'),
    lower: (node) => lowered('quantize', node),
  }),
  /** Bytes -> floats. */
  dequantize: integerOp({
    inputs: [1, 1],
    infer: (node) => sameAs(node, 'float32'),
    lower: (node) => lowered('dequantize', node),
  }),
  /** Bytes of a tensor, which may be signed, as a map. */
  integerMap: integerOp({
    inputs: [1, 1],
    infer: (node) => sameAs(node, 'uint8'),
    lower: (node) => lowered('integerMap', node),
  }),
  /** Inputs: x, bytes or an image of floats; weight (int8), bias (int32), scales of the weight; a table of 256 bytes. */
  quantizedConv: withWindow('quantizedConv', conv, (node) => convDims(asFloats(node))),
  /** Inputs of quantizedConv, with a weight [c, out / group, ...]. */
  quantizedConvTranspose: withWindow('quantizedConvTranspose', convTranspose, transposedDims),
  /** Inputs: x, a table of 256 bytes. */
  quantizedTable: integerOp({
    inputs: [2, 2],
    parameters: [1],
    infer: (node) => sameAs(node, 'uint8'),
    lower: (node) => lowered('quantizedTable', node),
  }),
  /** Inputs: a, b (of a's dims, or one number for each channel of an image), a table of 256 bytes. */
  quantizedBinary: integerOp({
    inputs: [2, 3],
    infer: (node) => [{ type: 'uint8', dims: broadcastDims(node, [operand(node, 0).dims, operand(node, 1).dims]) }],
    lower: (node) => lowered('quantizedBinary', node),
  }),
  quantizedGlobalAverage: integerOp({
    inputs: [1, 1],
    infer: (node) => [{ type: 'uint8', dims: [...operand(node, 0).dims.slice(0, 2), 1, 1] }],
    lower: (node) => lowered('quantizedGlobalAverage', node),
  }),
  quantizedAveragePool: integerOp({
    inputs: [1, 1],
    infer: (node) => [{ type: 'uint8', dims: (averagePool.infer(node)[0] as ValueType<number>).dims }],
    lower: (node) => lowered('quantizedAveragePool', node, averagePool.lower?.(node)?.attributes),
  }),
};
