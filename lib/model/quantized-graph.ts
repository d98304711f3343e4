import type { Graph, GraphTensor } from '../graph/graph';
import { emptyData } from '../graph/tensors';
import { coreOf } from '../nn/core';
import type { Module } from '../nn/module';
import { isLinear } from '../nn/networks/chain';
import { ChainGraph, moduleGraph } from '../nn/networks/graph';
import {
  biasScale,
  type IntegerConv,
  outputParameters,
  type QuantizationParameters,
  readerOf,
} from './quantized-layers';
import { QuantizedModel } from './quantized-model';

export function scaleName(weight: string): string {
  return `${weight}_scale`;
}

export function parameterNames(layer: string): readonly [scale: string, zeroPoint: string] {
  return [`${layer}.input_scale`, `${layer}.input_zero_point`];
}

/** The name, in tensors, of the reader of quantised logits. */
export const outputLayer = 'output';

/**
 * The graph of a network of this package. Its tensors are views of the network's memory.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a module that is not in deploy form, ERR_INVALID_ARG for anything but a module.
 */
export function networkGraph(model: Module | QuantizedModel): Graph {
  if (model instanceof QuantizedModel) return quantizedGraph(model);
  return moduleGraph(coreOf(model).definition);
}

/**
 * The graph of a quantised model in QDQ form: that of the model in float, with QuantizeLinear and DequantizeLinear around each node in
 * integers. Runtimes fuse the three into one operator (onnxruntime: QLinearConv, QGemm and others).
 *
 * Runtimes drop a ReLU before a zero point of 0, since clamping to bytes does the same. Before another zero point they would keep the
 * convolution in float, so the graph rounds before the ReLU as well, which changes no result.
 */
export function quantizedGraph({ layers, output, inChannels, flat }: QuantizedModel): Graph {
  const chain = new ChainGraph();
  layers.forEach((layer, i) => {
    if (layer.precision === 'float32') {
      chain.add(layer, readerOf(layer));
      return;
    }
    // Rounds between the average and the linear layer, because a runtime fuses an operator only between two roundings.
    if (isLinear(layer)) {
      round(chain, layer.name, layer.input, '_pixel');
      chain.flatten(layer);
    }
    round(chain, layer.name, layer.input);
    if (layer.kind === 'globalAverage') chain.average();
    else addConv(chain, layer, layers[i + 1]?.name ?? outputLayer, outputParameters(layers, i, output));
  });
  if (output) round(chain, outputLayer, output);
  return chain.finish(layers, inChannels, flat);
}

/** Quantises and dequantises. */
function round(chain: ChainGraph, layer: string, { scale, zeroPoint }: QuantizationParameters, suffix = ''): void {
  const [scaleTensor, zeroTensor] = parameterNames(layer);
  chain.round(`${layer}.input${suffix}_`, [
    chain.tensor(scaleTensor, { type: 'float32', dims: [], data: Float32Array.of(scale) }),
    chain.tensor(zeroTensor, { type: 'uint8', dims: [], data: Uint8Array.of(zeroPoint) }),
  ]);
}

/** @param next The layer whose input `output` belongs to. */
function addConv(
  chain: ChainGraph,
  layer: IntegerConv,
  next: string,
  output: QuantizationParameters | undefined,
): void {
  const { weightScale, input, activation } = layer;
  const [weight, bias] = layer.tensors;
  const { dims } = bias;
  const biasScales = weightScale.map((_, channel) => biasScale(input, weightScale, channel));
  /** Dequantises integers with a scale for each output channel. */
  const dequantized = (name: string, tensor: GraphTensor, scales: Float32Array): string => {
    const zeros = emptyData(tensor.type, weightScale.length);
    const inputs = [
      chain.tensor(name, tensor),
      chain.tensor(scaleName(name), { type: 'float32', dims, data: scales }),
      chain.tensor(`${name}_zero_point`, { type: tensor.type, dims, data: zeros }),
    ];
    return chain.node(`${name}_DequantizeLinear`, 'dequantizeLinear', inputs, { axis: 0 });
  };
  chain.product(layer, [
    dequantized(weight.name, { type: 'int8', dims: weight.dims, data: layer.weight }, weightScale),
    dequantized(bias.name, { type: 'int32', dims, data: layer.bias }, biasScales),
  ]);
  if (activation !== 'none' && output !== undefined && output.zeroPoint !== 0)
    round(chain, next, output, '_before_relu');
  chain.activate(layer);
}
