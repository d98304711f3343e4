import type { TrainedActivation } from '../../binding';
import type { ConvGeometry } from './window';

// Integers in a session. An integer q from 0 to 255 stands for (q - zeroPoint) * scale; scales are positive normal
// float32 values, zero points whole numbers from 0 to 255. Each op states what its input stands for, and this must be
// what the op before it wrote. Signed integers are these less 128.

/** float -> integer, as ONNX QuantizeLinear: clamp(round(x / scale) + zeroPoint, 0, 255), ties to even, NaN to 0. */
export interface QuantizeOp {
  readonly op: 'quantize';
  readonly input: number;
  readonly scale: number;
  readonly zeroPoint: number;
}

/** integer -> float: (x - zeroPoint) * scale. */
export interface DequantizeOp {
  readonly op: 'dequantize';
  readonly input: number;
  readonly scale: number;
  readonly zeroPoint: number;
}

/**
 * Convolution of integers with signed weights; sums are exact. Without `outputScale` the result is floats,
 * sum * (inputScale * weightScale); else integers, round(sum * (inputScale * weightScale / outputScale)) +
 * outputZeroPoint, each operation in float32, as onnxruntime's fused QLinearConv. A linear layer is one of kernel 1 on
 * [n, c, 1, 1]. Refused with ERR_QUANT_PARAM where a sum could leave 32 bits.
 */
export interface QuantizedConvOp extends ConvGeometry {
  readonly op: 'quantizedConv';
  readonly input: number;
  /** [outChannels, inChannels / groups, kernel, kernel] */
  readonly weight: Int8Array;
  /** [outChannels], in units of inputScale * weightScale. */
  readonly bias: Int32Array;
  readonly inputScale: number;
  readonly inputZeroPoint: number;
  /** [outChannels] */
  readonly weightScale: Float32Array;
  readonly outputScale?: number;
  /** Present where `outputScale` is. */
  readonly outputZeroPoint?: number;
  readonly activation?: TrainedActivation;
}

/** Mean over the pixels of each channel, integer -> integer, as onnxruntime's QLinearGlobalAveragePool. */
export interface QuantizedGlobalAverageOp {
  readonly op: 'quantizedGlobalAverage';
  readonly input: number;
  readonly inputScale: number;
  readonly inputZeroPoint: number;
  readonly outputScale: number;
  readonly outputZeroPoint: number;
}

/** Ops of sessions only. */
export type QuantizedOp = QuantizeOp | DequantizeOp | QuantizedConvOp | QuantizedGlobalAverageOp;
