import type { ConvOp, Op, SqueezeExciteOp } from '../../binding';
import type { QuantizedModel, Tensor } from '../../lib';
import { lowerQuantized } from '../../lib/integer/lower';
import type { QuantizedOp } from '../../lib/integer/ops';
import { runQuantizedOp } from './quantized';

/**
 * What a quantised model computes, op by op in plain loops: those in integers by definition ({@link runQuantizedOp}), the
 * others in double, rounded once.
 */
export function runIntegers(model: QuantizedModel, input: Tensor): Tensor {
  const { ops, state } = lowerQuantized(model, 'test');
  const { data, dims } = ops.reduce((value, op) => runOp(op, state, value), input);
  return { data, dims: model.flat ? dims.slice(0, 2) : dims };
}

type Dims = [number, number, number, number];

function runOp(op: Op | QuantizedOp, state: Float32Array, x: Tensor): Tensor {
  switch (op.op) {
    case 'quantize':
    case 'dequantize':
    case 'quantizedConv':
    case 'quantizedGlobalAverage':
      return runQuantizedOp(op, x);
    case 'conv':
      return convolve(op, state, x);
    case 'globalAverage':
      return { data: means(x), dims: [...x.dims.slice(0, 2), 1, 1] };
    case 'squeezeExcite':
      return squeezeExcite(op, state, x);
    default:
      throw new Error(`no op of a quantised model: ${op.op}`);
  }
}

function convolve(op: ConvOp, state: Float32Array, { data, dims }: Tensor): Tensor {
  const [n, c, h, w] = dims as Dims;
  const { kernel, stride, padding, dilation, groups, outChannels, weight, bias = 0, relu } = op;
  const size = (side: number): number => Math.floor((side + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
  const [outH, outW, depth] = [size(h), size(w), c / groups];
  const result: Tensor = { data: new Float32Array(n * outChannels * outH * outW), dims: [n, outChannels, outH, outW] };
  for (let at = 0; at < result.data.length; at++) {
    const [x, y] = [at % outW, Math.floor(at / outW) % outH];
    const out = Math.floor(at / (outW * outH)) % outChannels;
    const image = Math.floor(at / (outW * outH * outChannels));
    let sum = state[bias + out] as number;
    for (let k = 0; k < depth; k++) {
      const plane = image * c + Math.floor((out * groups) / outChannels) * depth + k;
      for (let tap = 0; tap < kernel ** 2; tap++) {
        const row = y * stride + Math.floor(tap / kernel) * dilation - padding;
        const column = x * stride + (tap % kernel) * dilation - padding;
        if (row < 0 || column < 0 || row >= h || column >= w) continue;
        const pixel = data[(plane * h + row) * w + column] as number;
        sum += pixel * (state[weight + (out * depth + k) * kernel ** 2 + tap] as number);
      }
    }
    result.data[at] = relu ? Math.max(0, sum) : sum;
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

function squeezeExcite(op: SqueezeExciteOp, state: Float32Array, x: Tensor): Tensor {
  const [n, c, h, w] = x.dims as Dims;
  const one = { op: 'conv', input: 0, kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 } as const;
  const down = { ...one, outChannels: op.reduced, weight: op.downWeight, bias: op.downBias, relu: true };
  const up = { ...one, outChannels: c, weight: op.upWeight, bias: op.upBias };
  const logits = convolve(up, state, convolve(down, state, { data: means(x), dims: [n, c, 1, 1] })).data;
  const data = x.data.map((value, i) => {
    const y = value / (1 + Math.exp(-(logits[Math.floor(i / (h * w))] as number)));
    return op.relu ? Math.max(0, y) : y;
  });
  return { data, dims: x.dims };
}
