import { eachTensor, type SqueezeExciteTensors, squeezeExciteNames } from '../nn/blocks/squeeze-excite';
import type { ConvStep, GlobalAverageStep, SqueezeExciteStep, Step } from '../nn/networks/chain';

/** Maps integers q to numbers x: x = (q - zeroPoint) * scale. */
export interface QuantizationParameters {
  /** A float32 value: finite, normal and above 0. */
  readonly scale: number;
  /** The integer from 0 to 255 that stands for 0. */
  readonly zeroPoint: number;
}

/** A convolution or linear layer in integers: u8 x s8 -> s32. */
export interface IntegerConv extends ConvStep {
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
export interface FloatConv extends ConvStep {
  readonly precision: 'float32';
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** The mean over the pixels, on integers. */
export interface IntegerAverage extends GlobalAverageStep {
  readonly precision: 'int8';
  readonly input: QuantizationParameters;
}

export interface FloatAverage extends GlobalAverageStep {
  readonly precision: 'float32';
}

/** Squeeze-and-excitation always computes in float because its sigmoid does. */
export interface FloatSqueezeExcite extends SqueezeExciteStep, SqueezeExciteTensors<Float32Array> {
  readonly precision: 'float32';
}

/** A layer that computes in float, as every layer does before it is quantised. */
export type FloatLayer = FloatConv | FloatAverage | FloatSqueezeExcite;

/** A layer of a quantised model. */
export type QuantizedLayer = FloatLayer | IntegerConv | IntegerAverage;

/** The float layer of a step, with copies of its tensors. `read` returns the state's tensor of a name, if it exists. */
export function floatLayer(step: Step, read: (name: string) => Float32Array | undefined): FloatLayer {
  const copy = (name: string): Float32Array => (read(name) as Float32Array).slice();
  switch (step.kind) {
    case 'conv': {
      const bias = read(step.biasName)?.slice() ?? new Float32Array(step.outChannels);
      return { ...step, precision: 'float32', weight: copy(step.weightName), bias };
    }
    case 'globalAverage':
      return { ...step, precision: 'float32' };
    case 'squeezeExcite':
      return { ...step, precision: 'float32', ...eachTensor((name) => copy(step.names[name])) };
  }
}

/** In the order of `stepTensors`. */
const tensorNames: Readonly<Record<FloatLayer['kind'], readonly string[]>> = {
  conv: ['weight', 'bias'],
  globalAverage: [],
  squeezeExcite: squeezeExciteNames,
};

/** The tensors of a float layer, in the order of `stepTensors`. */
export function tensorsOf(layer: FloatLayer): readonly Float32Array[] {
  const tensors = layer as unknown as Readonly<Record<string, Float32Array>>;
  return tensorNames[layer.kind].map((name) => tensors[name] as Float32Array);
}

/** The same layer with other tensors. */
export function withTensors(layer: FloatLayer, tensors: readonly Float32Array[]): FloatLayer {
  return { ...layer, ...Object.fromEntries(tensorNames[layer.kind].map((name, i) => [name, tensors[i]])) };
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
