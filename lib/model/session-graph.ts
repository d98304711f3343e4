import type { Graph } from '../graph/graph';
import { imageChannels, named } from '../graph/passes/integers/parameters';
import { coreOf } from '../nn/core';
import type { Module } from '../nn/module';
import { isLinear } from '../nn/networks/chain';
import { ChainGraph, engineGraph, windowAttributes } from '../nn/networks/graph';
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
    const isImage = i === 0 && layer.kind === 'conv' && layer.groups === 1 && inChannels <= imageChannels;
    if (!isInteger && !isImage) chain.step(`${name}.input`, 'quantize', [], named('output', input));
    if (layer.kind === 'globalAverage') chain.step(name, 'quantizedGlobalAverage', [], parameters);
    else
      chain.step(
        name,
        'quantizedConv',
        integerTensors(chain, layer),
        { ...windowAttributes(layer), ...parameters },
        layer.activation,
      );
    isInteger = result !== undefined;
  });
  if (isInteger && output) chain.step(outputLayer, 'dequantize', [], named('input', output));
  const last = layers.at(-1);
  if (last && isLinear(last)) chain.flat(last);
  return chain.finish(layers, inChannels, flat);
}

function integerTensors(chain: ChainGraph, layer: IntegerConv): readonly string[] {
  const { weightName, biasName, weight, bias, weightScale, outChannels, inChannels, groups, kernel } = layer;
  const dims = [outChannels];
  return [
    chain.tensor(weightName, { type: 'int8', dims: [outChannels, inChannels / groups, kernel, kernel], data: weight }),
    chain.tensor(biasName, { type: 'int32', dims, data: bias }),
    chain.tensor(scaleName(weightName), { type: 'float32', dims, data: weightScale }),
  ];
}
