import type { GraphArray, GraphSpec, GraphNode as NativeNode, TensorType } from '../../binding';
import type { QuantizedOp } from './quantized-ops';
import { type ConvGeometry, windowAttributes } from './window';

function positions(length: number, { kernel, stride, padding, dilation }: ConvGeometry): number {
  return Math.floor((length + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
}

/** The most channels of an image that a convolution in integers quantises itself. */
const maxStemChannels = 4;

/**
 * A chain of ops in integers, each of which reads the one before it, as the engine takes it: for one image [c, h, w] of floats.
 *
 * @param flat The result is [1, c] and not [1, c, 1, 1].
 */
export function chainSpec(
  ops: readonly QuantizedOp[],
  image: readonly number[],
  flat = false,
): Pick<GraphSpec, 'inputs' | 'constants' | 'nodes' | 'outputs'> {
  const constants: (TensorType & { data: GraphArray })[] = [];
  const drafts: (Omit<NativeNode, 'inputs' | 'outputs'> & { constants: number; output: TensorType })[] = [];
  let dims = [1, ...image];
  const constant = (type: TensorType['type'], shape: readonly number[], data: GraphArray): void => {
    constants.push({ type, dims: shape, data });
  };
  ops.forEach((op, i) => {
    if (i === 0 && isPartOfStem(ops, dims[1] as number)) return;
    const before = constants.length;
    const inChannels = dims[1] as number;
    let attributes: NativeNode['attributes'] = {};
    let isInteger = false;
    switch (op.op) {
      case 'quantizedConv':
        attributes = windowAttributes(op);
        constant('int8', [op.outChannels, inChannels / op.groups, op.kernel, op.kernel], op.weight);
        constant('int32', [op.outChannels], op.bias);
        constant('float32', [op.outChannels], op.weightScale);
        dims = [1, op.outChannels, ...dims.slice(2).map((length) => positions(length, op))];
        break;
      case 'quantizedGlobalAverage':
        dims = [1, inChannels, 1, 1];
        break;
      case 'quantize':
        attributes = { outputScale: op.scale, outputZeroPoint: op.zeroPoint };
        isInteger = true;
        break;
      case 'dequantize':
        attributes = { inputScale: op.scale, inputZeroPoint: op.zeroPoint };
        break;
    }
    if ('inputScale' in op) {
      const { inputScale, inputZeroPoint, outputScale, outputZeroPoint } = op;
      attributes = { ...attributes, inputScale, inputZeroPoint };
      isInteger = outputScale !== undefined;
      if (isInteger) Object.assign(attributes, { outputScale, outputZeroPoint: outputZeroPoint as number });
    }
    if ('activation' in op && op.activation === 'relu') attributes = { ...attributes, activation: 'relu' };
    const output: TensorType = { type: isInteger ? 'uint8' : 'float32', dims };
    drafts.push({ op: op.op, name: `op ${i} (${op.op})`, attributes, constants: constants.length - before, output });
  });
  let next = 1;
  const nodes = drafts.map(({ constants: count, output, ...draft }, i): NativeNode => {
    const source = i === 0 ? 0 : constants.length + i;
    const inputs = [source, ...Array.from({ length: count }, () => next++)];
    return { ...draft, inputs, outputs: [output] };
  });
  if (flat) {
    const attributes = { dims: dims.slice(0, 2) };
    const output: TensorType = { type: 'float32', dims: attributes.dims };
    nodes.push({
      op: 'reshape',
      name: 'flat',
      inputs: [constants.length + nodes.length],
      outputs: [output],
      attributes,
    });
  }
  return {
    inputs: [{ type: 'float32', dims: [1, ...image] }],
    constants,
    nodes,
    outputs: [constants.length + nodes.length],
  };
}

/** The first convolution quantises the image that it reads. */
function isPartOfStem([first, second]: readonly QuantizedOp[], channels: number): boolean {
  return (
    first?.op === 'quantize' && second?.op === 'quantizedConv' && second.groups === 1 && channels <= maxStemChannels
  );
}
