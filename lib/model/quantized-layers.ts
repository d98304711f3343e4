import { sizeOf } from '../graph/graph';
import type { SqueezeExciteTensors } from '../nn/blocks/squeeze-excite';
import type { Step, StepOf, StepTensor, TensorReader } from '../nn/networks/chain';

/** Maps integers q to numbers x: x = (q - zeroPoint) * scale. */
export interface QuantizationParameters {
  /** A float32 value: finite, normal and above 0. */
  readonly scale: number;
  /** The integer from 0 to 255 that stands for 0. */
  readonly zeroPoint: number;
}

/** A convolution or linear layer in integers: u8 x s8 -> s32. */
export interface IntegerConv extends StepOf<'conv'> {
  readonly precision: 'int8';
  /** Of the input. */
  readonly input: QuantizationParameters;
  /** [outChannels, inChannels / groups, kernel, kernel], from -127 to 127 */
  readonly weight: Int8Array;
  /** The scale of each channel's weights; [outChannels]. */
  readonly weightScale: Float32Array;
  /** [outChannels], in steps of input.scale * weightScale[channel] */
  readonly bias: Int32Array;
}

/** A convolution or linear layer that was kept in float. */
export interface FloatConv extends StepOf<'conv'> {
  readonly precision: 'float32';
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** The mean over the pixels, on integers. */
export interface IntegerAverage extends StepOf<'globalAverage'> {
  readonly precision: 'int8';
  readonly input: QuantizationParameters;
}

export interface FloatAverage extends StepOf<'globalAverage'> {
  readonly precision: 'float32';
}

/** Squeeze-and-excitation always computes in float because its sigmoid does. */
export interface FloatSqueezeExcite extends StepOf<'squeezeExcite'>, SqueezeExciteTensors<Float32Array> {
  readonly precision: 'float32';
}

/** A layer that computes in float, as every layer does before it is quantised. */
export type FloatLayer = FloatConv | FloatAverage | FloatSqueezeExcite;

/** A layer of a quantised model. */
export type QuantizedLayer = FloatLayer | IntegerConv | IntegerAverage;

/** The float layer of a step, with copies of its tensors; an absent bias is zeros. */
export function floatLayer(step: Step, read: TensorReader): FloatLayer {
  const numbers = step.tensors.map((tensor) => [
    tensor.key,
    read(tensor)?.slice() ?? new Float32Array(sizeOf(tensor.dims)),
  ]);
  return { ...step, precision: 'float32', ...Object.fromEntries(numbers) };
}

/** Reads the tensors of a float layer. */
export function readerOf(layer: FloatLayer): TensorReader {
  return ({ key }) => (layer as Readonly<Partial<Record<StepTensor['key'], Float32Array>>>)[key];
}

/** The scale of a channel's bias and of its sums. It is rounded to float32, as in every runtime. */
export function biasScale(input: QuantizationParameters, weightScale: Float32Array, channel: number): number {
  return Math.fround(input.scale * (weightScale[channel] as number));
}

/** Parameters of the output of layer `index`: undefined if the next layer reads floats. */
export function outputParameters(
  layers: readonly QuantizedLayer[],
  index: number,
  output: QuantizationParameters | undefined,
): QuantizationParameters | undefined {
  if (index === layers.length - 1) return output;
  const next = layers[index + 1];
  return next?.precision === 'int8' ? next.input : undefined;
}
