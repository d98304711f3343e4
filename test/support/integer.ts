import type { QuantizedModel, Tensor } from '../../lib';
import {
  type FloatConv,
  type FloatLayer,
  type IntegerAverage,
  type IntegerConv,
  outputParameters,
  type QuantizationParameters,
} from '../../lib/model/quantized-layers';
import { runQuantizedOp } from './quantized';
import type { QuantizedOp } from './quantized-ops';
import type { ConvGeometry } from './window';

/**
 * What a quantised model computes, layer by layer in plain loops: those in integers by definition ({@link runQuantizedOp}), the
 * others in double, rounded once.
 */
export function runIntegers({ layers, output, flat }: QuantizedModel, input: Tensor): Tensor {
  let value = input;
  let isInteger = false;
  layers.forEach((layer, i) => {
    if (layer.precision === 'float32') {
      value = runFloat(layer, value);
      isInteger = false;
      return;
    }
    if (!isInteger) value = runQuantizedOp({ op: 'quantize', input: 0, ...layer.input }, value);
    const result = outputParameters(layers, i, output);
    value = runQuantizedOp(quantizedOp(layer, result), value);
    isInteger = result !== undefined;
  });
  if (isInteger && output) value = runQuantizedOp({ op: 'dequantize', input: 0, ...output }, value);
  const { data, dims } = value;
  return { data, dims: flat ? dims.slice(0, 2) : dims };
}

/** The native op of a layer in integers. */
export function quantizedOp(layer: IntegerConv | IntegerAverage, output?: QuantizationParameters): QuantizedOp {
  const inputs = { input: 0, inputScale: layer.input.scale, inputZeroPoint: layer.input.zeroPoint };
  const outputs = output && { outputScale: output.scale, outputZeroPoint: output.zeroPoint };
  return layer.kind === 'conv'
    ? { ...layer, ...geometryOf(layer), op: 'quantizedConv', ...inputs, ...outputs }
    : { op: 'quantizedGlobalAverage', ...inputs, outputScale: 0, outputZeroPoint: 0, ...outputs };
}

function geometryOf({ attributes, tensors }: FloatConv | IntegerConv): ConvGeometry {
  const first = (name: string): number => (attributes[name] as number[])[0] as number;
  return {
    outChannels: tensors[0]?.dims[0] as number,
    kernel: first('kernel_shape'),
    stride: first('strides'),
    padding: first('pads'),
    dilation: first('dilations'),
    groups: attributes.group as number,
  };
}

function runFloat(layer: FloatLayer, x: Tensor): Tensor {
  switch (layer.kind) {
    case 'conv':
      return convolve({ ...layer, ...geometryOf(layer) }, x);
    case 'globalAverage':
      return { data: means(x), dims: [...x.dims.slice(0, 2), 1, 1] };
    case 'squeezeExcite':
      return squeezeExcite(layer, x);
  }
}

type Dims = [number, number, number, number];

type Conv = ConvGeometry & Pick<FloatConv, 'weight' | 'bias' | 'activation'>;

function convolve(layer: Conv, { data, dims }: Tensor): Tensor {
  const [n, c, h, w] = dims as Dims;
  const { kernel, stride, padding, dilation, groups, outChannels, weight, bias, activation } = layer;
  const size = (side: number): number => Math.floor((side + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
  const [outH, outW, depth] = [size(h), size(w), c / groups];
  const result: Tensor = { data: new Float32Array(n * outChannels * outH * outW), dims: [n, outChannels, outH, outW] };
  for (let at = 0; at < result.data.length; at++) {
    const [x, y] = [at % outW, Math.floor(at / outW) % outH];
    const out = Math.floor(at / (outW * outH)) % outChannels;
    const image = Math.floor(at / (outW * outH * outChannels));
    let sum = bias[out] as number;
    for (let k = 0; k < depth; k++) {
      const plane = image * c + Math.floor((out * groups) / outChannels) * depth + k;
      for (let tap = 0; tap < kernel ** 2; tap++) {
        const row = y * stride + Math.floor(tap / kernel) * dilation - padding;
        const column = x * stride + (tap % kernel) * dilation - padding;
        if (row < 0 || column < 0 || row >= h || column >= w) continue;
        const pixel = data[(plane * h + row) * w + column] as number;
        sum += pixel * (weight[(out * depth + k) * kernel ** 2 + tap] as number);
      }
    }
    result.data[at] = activation === 'relu' ? Math.max(0, sum) : sum;
  }
  return result;
}

/** Of each channel of each image. */
function means({ data, dims }: Tensor): Float32Array {
  const [n, c, h, w] = dims as Dims;
  return Float32Array.from({ length: n * c }, (_, plane) => {
    const pixels = data.subarray(plane * h * w, (plane + 1) * h * w);
    return pixels.reduce((sum, x) => sum + x, 0) / (h * w);
  });
}

function squeezeExcite(layer: Extract<FloatLayer, { kind: 'squeezeExcite' }>, x: Tensor): Tensor {
  const [n, c, h, w] = x.dims as Dims;
  const one = { activation: 'none' as const, kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 };
  const down = {
    ...one,
    outChannels: layer.downBias.length,
    weight: layer.downWeight,
    bias: layer.downBias,
    activation: 'relu' as const,
  };
  const up = { ...one, outChannels: c, weight: layer.upWeight, bias: layer.upBias };
  const logits = convolve(up, convolve(down, { data: means(x), dims: [n, c, 1, 1] })).data;
  const data = x.data.map((value, i) => {
    const y = value / (1 + Math.exp(-(logits[Math.floor(i / (h * w))] as number)));
    return layer.activation === 'relu' ? Math.max(0, y) : y;
  });
  return { data, dims: x.dims };
}
