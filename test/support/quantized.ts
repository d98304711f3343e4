import type { Tensor } from '../../lib';
import type { DequantizeOp, QuantizedConvOp, QuantizedGlobalAverageOp, QuantizedOp } from './quantized-ops';

type Dims = [number, number, number, number];

/** To the nearest integer, halves to the even one. */
export const halfEven = (x: number): number => {
  const floor = Math.floor(x);
  const above = x - floor;
  return above > 0.5 || (above === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
};

const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

/** A sum times a float32 scale, clamped to what the zero point leaves, as an integer. */
function requantize(sum: number, scale: number, zeroPoint: number, relu = false): number {
  const x = Math.fround(Math.fround(sum) * scale);
  return halfEven(clamp(x, relu ? 0 : -zeroPoint, 255 - zeroPoint)) + zeroPoint;
}

function convolve(op: QuantizedConvOp, { data, dims }: Tensor): Tensor {
  const [n, c, h, w] = dims as Dims;
  const { kernel, stride, padding, dilation, groups, outChannels } = op;
  const size = (side: number) => Math.floor((side + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
  const [outH, outW, depth] = [size(h), size(w), c / groups];
  const y: Tensor = { data: new Float32Array(n * outChannels * outH * outW), dims: [n, outChannels, outH, outW] };
  for (let at = 0; at < y.data.length; at++) {
    const column = at % outW;
    const row = Math.floor(at / outW) % outH;
    const out = Math.floor(at / (outW * outH)) % outChannels;
    const image = Math.floor(at / (outW * outH * outChannels));
    let sum = op.bias[out] as number;
    for (let k = 0; k < depth; k++) {
      const channel = Math.floor(out / (outChannels / groups)) * depth + k;
      for (let tap = 0; tap < kernel * kernel; tap++) {
        const inY = row * stride + Math.floor(tap / kernel) * dilation - padding;
        const inX = column * stride + (tap % kernel) * dilation - padding;
        if (inY < 0 || inX < 0 || inY >= h || inX >= w) continue;
        const x = (data[((image * c + channel) * h + inY) * w + inX] as number) - op.inputZeroPoint;
        sum += x * (op.weight[(out * depth + k) * kernel * kernel + tap] as number);
      }
    }
    const product = Math.fround(Math.fround(op.inputScale) * (op.weightScale[out] as number));
    if (op.outputScale === undefined) {
      const x = Math.fround(sum) * product;
      y.data[at] = op.activation === 'relu' ? Math.max(x, 0) : x;
    } else {
      const scale = Math.fround(product / Math.fround(op.outputScale));
      y.data[at] = requantize(sum, scale, op.outputZeroPoint as number, op.activation === 'relu');
    }
  }
  return y;
}

function average(op: QuantizedGlobalAverageOp, { data, dims }: Tensor): Tensor {
  const [n, c, h, w] = dims as Dims;
  const pixels = h * w;
  const scale = Math.fround(Math.fround(op.inputScale) / Math.fround(Math.fround(op.outputScale) * pixels));
  const y: Tensor = { data: new Float32Array(n * c), dims: [n, c, 1, 1] };
  for (let at = 0; at < n * c; at++) {
    const sum = data.subarray(at * pixels, (at + 1) * pixels).reduce((total, q) => total + q - op.inputZeroPoint, 0);
    y.data[at] = requantize(sum, scale, op.outputZeroPoint);
  }
  return y;
}

const map = ({ data, dims }: Tensor, f: (value: number) => number): Tensor => ({ data: data.map(f), dims });

/** What one op computes, by definition; integers are held in floats. */
export function runQuantizedOp(op: QuantizedOp, x: Tensor): Tensor {
  switch (op.op) {
    case 'quantize':
      return map(x, (v) => clamp(halfEven(Math.fround(v / Math.fround(op.scale))) + op.zeroPoint, 0, 255));
    case 'dequantize':
      return map(x, (q) => (q - op.zeroPoint) * Math.fround(op.scale));
    case 'quantizedConv':
      return convolve(op, x);
    case 'quantizedGlobalAverage':
      return average(op, x);
  }
}

/** The same of a chain of ops. */
export const runQuantized = (ops: readonly QuantizedOp[], x: Tensor): Tensor =>
  ops.reduce((value, op) => runQuantizedOp(op, value), x);

/** A small generator of whole numbers from `low` to `high`. */
function integers(seed: number): (low: number, high: number) => number {
  let state = seed;
  return (low, high) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return low + Math.floor((state / 2 ** 32) * (high - low + 1));
  };
}

interface Layer {
  readonly out: number;
  readonly kernel?: number;
  readonly stride?: number;
  readonly groups?: number;
  readonly zeroPoint?: number;
  readonly relu?: boolean;
}

/**
 * A network that reads floats: quantize, convolutions, global average, linear; its logits are integers that are
 * dequantised, or floats.
 */
export function quantizedNetwork(
  channels: number,
  layers: readonly Layer[],
  logits: 'integers' | 'floats',
): QuantizedOp[] {
  const draw = integers(channels);
  const ops: QuantizedOp[] = [{ op: 'quantize', input: 0, scale: 0.02, zeroPoint: 114 }];
  let [inChannels, inputScale, inputZeroPoint] = [channels, 0.02, 114];
  const add = ({ out, kernel = 3, stride = 1, groups = 1, zeroPoint = 0, relu = true }: Layer, float = false) => {
    const terms = (inChannels / groups) * kernel * kernel;
    const outputScale = inputScale * 0.01 * Math.sqrt(terms) * 60;
    ops.push({
      op: 'quantizedConv',
      input: ops.length,
      outChannels: out,
      kernel,
      stride,
      padding: (kernel - 1) / 2,
      dilation: 1,
      groups,
      weight: Int8Array.from({ length: out * terms }, () => draw(-127, 127)),
      bias: Int32Array.from({ length: out }, () => draw(-5000, 5000)),
      inputScale,
      inputZeroPoint,
      weightScale: Float32Array.from({ length: out }, () => draw(50, 150) / 10000),
      activation: relu ? 'relu' : 'none',
      ...(float ? {} : { outputScale, outputZeroPoint: zeroPoint }),
    });
    [inChannels, inputScale, inputZeroPoint] = [out, outputScale, zeroPoint];
  };
  for (const layer of layers) add(layer);
  const outputScale = inputScale / 2;
  ops.push({
    op: 'quantizedGlobalAverage',
    input: ops.length,
    inputScale,
    inputZeroPoint,
    outputScale,
    outputZeroPoint: inputZeroPoint,
  });
  inputScale = outputScale;
  add({ out: 10, kernel: 1, zeroPoint: 131, relu: false }, logits === 'floats');
  if (logits === 'integers') {
    const last: DequantizeOp = { op: 'dequantize', input: ops.length, scale: inputScale, zeroPoint: inputZeroPoint };
    ops.push(last);
  }
  return ops;
}
