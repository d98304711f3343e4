import { squeezeExciteNames } from '../../integer/chain';
import {
  biasScale,
  type FloatConv,
  type FloatLayer,
  type IntegerConv,
  outputParameters,
  type QuantizationParameters,
  type QuantizedLayer,
} from '../../integer/layers';
import type { QuantizedModel } from '../../integer/quantized-model';
import { inputName, outputName } from '../../nn/networks/graph';
import type { Dtype } from '../dtypes';
import { layerTensors, scaleName } from '../quantized-files';
import { GraphBuilder, imagesInfo, integer, outputPixelDims, pixelDims, prefixOf } from './builder';
import { float32, type Graph, int8, int32, uint8 } from './schema';

/** Element types that tensors of quantised models have. */
export const dataTypes = { F32: float32, U8: uint8, I8: int8, I32: int32 } satisfies Partial<Record<Dtype, number>>;

export function parameterNames(layer: string): readonly [scale: string, zeroPoint: string] {
  return [`${layer}.input_scale`, `${layer}.input_zero_point`];
}

/** The same of the logits. */
export const outputLayer = 'output';

/**
 * The ONNX graph of a quantised model: that of the model in float, with QuantizeLinear and DequantizeLinear around what is
 * computed in integers, which runtimes take as one (onnxruntime: QLinearConv, QGemm and the like).
 *
 * A ReLU in front of a zero point of 0 is what the integers do anyway, and runtimes drop it. In front of another zero point
 * they would keep the convolution in float, so there it comes after a rounding of its own, which changes nothing.
 */
export function quantizedGraph(model: QuantizedModel): Graph {
  const { layers, output, inChannels } = model;
  const writer = new LayerWriter();
  let value = inputName;
  layers.forEach((layer, i) => {
    if (layer.precision === 'float32') {
      if (isLinear(layer)) value = writer.builder.flatten(prefixOf(layer.weightName), value);
      value = writer.floatLayer(layer, value);
      return;
    }
    // Rounded on either side, as a runtime takes one operator in integers to be: the average ends in front, and the linear
    // layer begins behind.
    if (isLinear(layer)) {
      const pixel = writer.round(layer.name, layer.input, value, '_pixel');
      value = writer.builder.flatten(prefixOf(layer.weightName), pixel);
    }
    const input = writer.round(layer.name, layer.input, value);
    const next = layers[i + 1]?.name ?? outputLayer;
    value =
      layer.kind === 'conv'
        ? writer.integerConv(layer, input, next, outputParameters(layers, i, output))
        : writer.average(input);
  });
  if (output) writer.round(outputLayer, output, value);
  writer.builder.nameOutput(outputName);
  const { nodes, initializers } = writer.builder;
  const outChannels = layers.findLast((layer) => layer.kind === 'conv')?.outChannels ?? inChannels;
  return {
    ...{ nodes, name: 'qarepvgg', initializers },
    inputs: [imagesInfo(inputName, inChannels, pixelDims)],
    outputs: [imagesInfo(outputName, outChannels, model.flat ? [] : outputPixelDims)],
  };
}

function isLinear(layer: QuantizedLayer): layer is FloatConv | IntegerConv {
  return layer.kind === 'conv' && layer.weightDims.length === 2;
}

/** Layers as nodes. */
class LayerWriter {
  readonly builder = new GraphBuilder();

  /** To the integers of these parameters and back. */
  round(layer: string, { scale, zeroPoint }: QuantizationParameters, input: string, suffix = ''): string {
    const [scaleTensor, zeroTensor] = parameterNames(layer);
    const parameters = [
      this.builder.tensor(scaleTensor, [], float32, Float32Array.of(scale)),
      this.builder.tensor(zeroTensor, [], uint8, Uint8Array.of(zeroPoint)),
    ];
    const name = `${layer}.input${suffix}_`;
    const integers = this.builder.node(`${name}QuantizeLinear`, 'QuantizeLinear', [input, ...parameters]);
    return this.builder.node(`${name}DequantizeLinear`, 'DequantizeLinear', [integers, ...parameters]);
  }

  average(input: string): string {
    return this.builder.node('GlobalAveragePool', 'GlobalAveragePool', [input]);
  }

  floatLayer(layer: FloatLayer, input: string): string {
    const { builder } = this;
    if (layer.kind === 'globalAverage') return this.average(input);
    const tensors = Object.entries(layerTensors(layer)).map(
      ([name, { dims, data }]) => [name, builder.tensor(name, dims, float32, data)] as const,
    );
    const names = new Map(tensors);
    if (layer.kind === 'conv')
      return this.#relu(layer, layer.weightName, this.#conv(layer, [input, ...names.values()]));
    const { downWeight, upWeight } = layer.names;
    const order = squeezeExciteNames.map((name) => names.get(layer.names[name]) as string);
    const gated = builder.squeezeExcite(prefixOf(downWeight), prefixOf(upWeight), input, order);
    return this.#relu(layer, upWeight, gated);
  }

  /** @param next The layer whose input `output` belongs to. */
  integerConv(layer: IntegerConv, input: string, next: string, output: QuantizationParameters | undefined): string {
    const { weightName, weightDims, biasName, outChannels, weight, weightScale, bias } = layer;
    const zeros = [new Int8Array(outChannels), new Int32Array(outChannels)] as const;
    const biasScales = Float32Array.from(bias, (_, channel) => biasScale(layer.input, weightScale, channel));
    const dequantized = [
      this.#dequantize(weightName, weightDims, int8, [weight, weightScale, zeros[0]]),
      this.#dequantize(biasName, [outChannels], int32, [bias, biasScales, zeros[1]]),
    ];
    const sum = this.#conv(layer, [input, ...dequantized]);
    const needsRounding = layer.relu && output !== undefined && output.zeroPoint !== 0;
    return this.#relu(layer, weightName, needsRounding ? this.round(next, output, sum, '_before_relu') : sum);
  }

  /** A tensor of integers with a scale for each output channel, in float. */
  #dequantize(
    name: string,
    dims: readonly number[],
    type: number,
    [integers, scales, zeros]: readonly [NodeJS.TypedArray, Float32Array, NodeJS.TypedArray],
  ): string {
    const inputs = [
      this.builder.tensor(name, dims, type, integers),
      this.builder.tensor(scaleName(name), [scales.length], float32, scales),
      this.builder.tensor(`${name}_zero_point`, [zeros.length], type, zeros),
    ];
    return this.builder.node(`${name}_DequantizeLinear`, 'DequantizeLinear', inputs, [integer('axis', 0)]);
  }

  #conv(layer: FloatConv | IntegerConv, inputs: readonly string[]): string {
    const prefix = prefixOf(layer.weightName);
    return isLinear(layer) ? this.builder.linear(prefix, inputs) : this.builder.conv(prefix, layer, inputs);
  }

  /** @param tensor Whose prefix the node shall have. */
  #relu({ relu }: { readonly relu: boolean }, tensor: string, input: string): string {
    return relu ? this.builder.relu(prefixOf(tensor), input) : input;
  }
}
