import type { Op } from '../../binding';
import { allocateFloats } from '../limits';
import {
  type FloatLayer,
  floatOp,
  type IntegerConv,
  outputParameters,
  type QuantizationParameters,
  tensorsOf,
} from './layers';
import type { QuantizedConvOp, QuantizedOp } from './ops';
import type { QuantizedModel } from './quantized-model';

/** What a session is made from: the ops, and the tensors of those that compute in float. */
export interface LoweredModel {
  readonly ops: readonly (Op | QuantizedOp)[];
  readonly state: Float32Array;
}

/**
 * The ops that compute a quantised model: a value is quantised where a layer takes integers and the one before makes
 * floats; logits come out as floats.
 */
export function lowerQuantized({ layers, output }: QuantizedModel, where: string): LoweredModel {
  const ops: (Op | QuantizedOp)[] = [];
  const tensors: Float32Array[] = [];
  let length = 0;
  let isInteger = false;
  layers.forEach((layer, i) => {
    if (layer.precision === 'float32') {
      ops.push(floatOp(layer, ops.length, length));
      for (const tensor of tensorsOf(layer)) {
        tensors.push(tensor);
        length += tensor.length;
      }
      isInteger = false;
      return;
    }
    if (!isInteger) ops.push({ op: 'quantize', input: ops.length, ...layer.input });
    const result = outputParameters(layers, i, output);
    ops.push(layer.kind === 'conv' ? convOp(layer, ops.length, result) : averageOp(ops.length, layer.input, result));
    isInteger = result !== undefined;
  });
  if (isInteger && output) ops.push({ op: 'dequantize', input: ops.length, ...output });
  return { ops, state: concatenate(tensors, length, where) };
}

function convOp(layer: IntegerConv, input: number, output: QuantizationParameters | undefined): QuantizedConvOp {
  const { outChannels, kernel, stride, padding, dilation, groups, relu, weight, weightScale, bias } = layer;
  return {
    op: 'quantizedConv',
    input,
    ...{ outChannels, kernel, stride, padding, dilation, groups, relu },
    ...{ weight, bias, weightScale, inputScale: layer.input.scale, inputZeroPoint: layer.input.zeroPoint },
    ...(output && { outputScale: output.scale, outputZeroPoint: output.zeroPoint }),
  };
}

/** An average of integers is an integer: the constructor of the model has checked it. */
function averageOp(input: number, from: QuantizationParameters, to: QuantizationParameters | undefined): QuantizedOp {
  const { scale, zeroPoint } = to as QuantizationParameters;
  return {
    ...{ op: 'quantizedGlobalAverage', input, inputScale: from.scale, inputZeroPoint: from.zeroPoint },
    ...{ outputScale: scale, outputZeroPoint: zeroPoint },
  };
}

/** The tensors of float layers one after the other. */
function concatenate(tensors: readonly Float32Array[], length: number, where: string): Float32Array {
  const state = allocateFloats(length, `${where}, state`);
  let offset = 0;
  for (const tensor of tensors) {
    state.set(tensor, offset);
    offset += tensor.length;
  }
  return state;
}

/** The state of one float layer, as {@link floatOp} with offset 0 reads it. */
export function stateOf(layer: FloatLayer, where: string): Float32Array {
  const tensors = tensorsOf(layer);
  return concatenate(
    tensors,
    tensors.reduce((sum, { length }) => sum + length, 0),
    where,
  );
}
