import type { Graph } from '../graph/graph';
import { imageChannels, named } from '../graph/passes/integers/parameters';
import { coreOf } from '../nn/core';
import { operandDims } from '../nn/graph';
import type { Module } from '../nn/module';
import { ChainGraph, engineGraph, flattened } from '../nn/networks/graph';
import { outputLayer, scaleName } from './quantized-graph';
import { type IntegerConv, outputParameters, readerOf } from './quantized-layers';
import { QuantizedModel } from './quantized-model';

/**
 * The graph that the engine computes. The passes would make the same from {@link networkGraph}, which takes about ten times as long.
 * Nodes have the names of layers.
 */
export function sessionGraph(model: Module | QuantizedModel): Graph {
  if (model instanceof QuantizedModel) return integerGraph(model);
  return engineGraph(coreOf(model).definition);
}

function integerGraph({ layers, output, inChannels, flat }: QuantizedModel): Graph {
  const chain = new ChainGraph();
  let isInteger = false;
  layers.forEach((layer, i) => {
    if (layer.precision === 'float32') {
      chain.addWhole(layer, readerOf(layer));
      isInteger = false;
      return;
    }
    const { name, input } = layer;
    const result = outputParameters(layers, i, output);
    const parameters = { ...named('input', input), ...(result && named('output', result)) };
    const isImage = i === 0 && layer.kind === 'conv' && layer.attributes.group === 1 && inChannels <= imageChannels;
    if (!isInteger && !isImage) chain.step(`${name}.input`, 'quantize', [], named('output', input));
    if (layer.kind === 'globalAverage') chain.step(name, 'quantizedGlobalAverage', [], parameters);
    else {
      const attributes = { ...layer.attributes, ...parameters };
      chain.step(name, 'quantizedConv', integerTensors(chain, layer), attributes, layer.activation);
    }
    isInteger = result !== undefined;
  });
  if (isInteger && output) chain.step(outputLayer, 'dequantize', [], named('input', output));
  const graph = chain.finish(layers, inChannels, false);
  return flat ? flattened(graph, layers.at(-1)?.name) : graph;
}

function integerTensors(chain: ChainGraph, layer: IntegerConv): readonly string[] {
  const [weight, bias] = layer.tensors;
  return [
    chain.tensor(weight.name, { type: 'int8', dims: operandDims('conv', weight.dims), data: layer.weight }),
    chain.tensor(bias.name, { type: 'int32', dims: bias.dims, data: layer.bias }),
    chain.tensor(scaleName(weight.name), { type: 'float32', dims: bias.dims, data: layer.weightScale }),
  ];
}
