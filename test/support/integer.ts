import type { Op, QuantizedConvOp, QuantizedGlobalAverageOp, QuantizedOp, SqueezeExciteOp } from '../../binding';
import type { QuantizedModel, Tensor } from '../../lib';
import { lowerQuantized } from '../../lib/quant/lower';

/**
 * The ops of a quantised model in plain loops, in the order of operations of onnxruntime's fused kernels: sums in integers;
 * then float32(sum) times float32(float32(input scale * weight scale) / output scale), rounded to nearest, halves to even.
 */
export function runIntegers(model: QuantizedModel, input: Tensor): Tensor {
  const { ops, state } = lowerQuantized(model, 'test');
  let value: Value = { ...input, data: Array.from(input.data) };
  for (const op of ops) value = runOp(op, state, value);
  const [n, c] = value.dims as [number, number];
  return { data: Float32Array.from(value.data), dims: model.flat ? [n, c] : [...value.dims] };
}

/** Integers or floats, exactly. */
interface Value {
  readonly data: readonly number[];
  readonly dims: readonly number[];
}

const { fround, min, max, floor } = Math;

export function halfEven(value: number): number {
  const low = floor(value);
  const rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/** What a multiplier in float32 makes of a sum of integers. */
export function requantize(sum: number, multiplier: number, zeroPoint: number, low = 0): number {
  const scaled = min(255 - zeroPoint, max(low - zeroPoint, fround(fround(sum) * multiplier)));
  return halfEven(scaled) + zeroPoint;
}

function runOp(op: Op | QuantizedOp, state: Float32Array, value: Value): Value {
  const map = (each: (x: number) => number): Value => ({ ...value, data: value.data.map(each) });
  switch (op.op) {
    case 'quantize':
      return map((x) => min(255, max(0, halfEven(min(1e6, max(-1e6, fround(x / op.scale)))) + op.zeroPoint)));
    case 'dequantize':
      return map((q) => fround((q - op.zeroPoint) * op.scale));
    case 'quantizedConv':
      return quantizedConv(op, value);
    case 'quantizedGlobalAverage':
      return quantizedAverage(op, value);
    case 'conv': {
      const depth = ((value.dims[1] as number) / op.groups) * op.kernel ** 2;
      const weight = state.subarray(op.weight, op.weight + op.outChannels * depth);
      const bias = state.subarray(op.bias as number, (op.bias as number) + op.outChannels);
      return convolve(op, value, weight, 0, (sum, channel) => {
        const y = fround(sum + (bias[channel] as number));
        return op.relu ? max(0, y) : y;
      });
    }
    case 'globalAverage':
      return average(value, (sum, area) => fround(sum / area));
    case 'squeezeExcite':
      return squeezeExcite(op, state, value);
    default:
      throw new Error(`no op of a quantised model: ${op.op}`);
  }
}

function quantizedConv(op: QuantizedConvOp, value: Value): Value {
  const { inputScale, inputZeroPoint, weightScale, bias, outputScale, outputZeroPoint = 0, relu } = op;
  return convolve(op, value, op.weight, inputZeroPoint, (sum, channel) => {
    const total = sum + (bias[channel] as number);
    const scale = fround(inputScale * (weightScale[channel] as number));
    if (outputScale === undefined) {
      const y = fround(fround(total) * scale);
      return relu ? max(0, y) : y;
    }
    return requantize(total, fround(scale / outputScale), outputZeroPoint, relu ? outputZeroPoint : 0);
  });
}

function quantizedAverage(op: QuantizedGlobalAverageOp, value: Value): Value {
  return average(value, (sum, area) => {
    const multiplier = fround(op.inputScale / fround(op.outputScale * area));
    return requantize(sum - area * op.inputZeroPoint, multiplier, op.outputZeroPoint);
  });
}

type ConvSizes = Pick<QuantizedConvOp, 'outChannels' | 'kernel' | 'stride' | 'padding' | 'dilation' | 'groups'>;

/** Sums of (x - zero) * w, padded with zeros: exact for integers. */
function convolve(
  { outChannels, kernel, stride, padding, dilation, groups }: ConvSizes,
  { data, dims }: Value,
  weight: Int8Array | Float32Array,
  zero: number,
  finish: (sum: number, channel: number) => number,
): Value {
  const [n, c, h, w] = dims as [number, number, number, number];
  const side = (length: number): number => floor((length + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
  const [height, width] = [side(h), side(w)];
  const depth = c / groups;
  const result: number[] = [];
  for (let image = 0; image < n; image++) {
    for (let o = 0; o < outChannels; o++) {
      const first = floor((o * groups) / outChannels) * depth;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          let sum = 0;
          for (let tap = 0; tap < kernel ** 2; tap++) {
            const row = y * stride - padding + floor(tap / kernel) * dilation;
            const column = x * stride - padding + (tap % kernel) * dilation;
            if (row < 0 || row >= h || column < 0 || column >= w) continue;
            for (let i = 0; i < depth; i++) {
              const pixel = data[((image * c + first + i) * h + row) * w + column] as number;
              sum += (pixel - zero) * (weight[(o * depth + i) * kernel ** 2 + tap] as number);
            }
          }
          result.push(finish(sum, o));
        }
      }
    }
  }
  return { data: result, dims: [n, outChannels, height, width] };
}

function average({ data, dims }: Value, finish: (sum: number, area: number) => number): Value {
  const [n, c, h, w] = dims as [number, number, number, number];
  const area = h * w;
  const means = Array.from({ length: n * c }, (_, plane) => {
    const sum = data.slice(plane * area, (plane + 1) * area).reduce((total, x) => total + x, 0);
    return finish(sum, area);
  });
  return { data: means, dims: [n, c, 1, 1] };
}

function squeezeExcite(op: SqueezeExciteOp, state: Float32Array, value: Value): Value {
  const [, channels, h, w] = value.dims as [number, number, number, number];
  const linear = (x: Value, outChannels: number, weight: number, bias: number): Value => {
    const one = { outChannels, kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 };
    return convolve(one, x, state.subarray(weight), 0, (sum, channel) => sum + (state[bias + channel] as number));
  };
  const means = average(value, (sum, area) => sum / area);
  const down = linear(means, op.reduced, op.downWeight, op.downBias);
  const active = { ...down, data: down.data.map((x) => max(0, x)) };
  const gates = linear(active, channels, op.upWeight, op.upBias).data.map((x) => 1 / (1 + Math.exp(-x)));
  const data = value.data.map((x, i) => {
    const y = fround(x * (gates[floor(i / (h * w))] as number));
    return op.relu ? max(0, y) : y;
  });
  return { ...value, data };
}
