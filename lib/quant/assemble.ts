import type { QuantizationParameters, QuantizedLayer } from '../integer/layers';
import { QuantizedModel } from '../integer/quantized-model';
import { integerSteps } from '../nn/networks/chain';
import { letOthersRun } from '../runtime/abort';
import { quantizeConv } from './convolution';
import type { FloatModel } from './float-model';
import type { Histogram } from './histogram';
import type { CheckedQuantizeOptions } from './options';
import { chooseRange, parametersOf, type Range, type RangeOptions } from './ranges';
import type { Statistics } from './statistics';

/** What was chosen for a tensor. */
export interface Choice {
  readonly range: Range;
  readonly parameters: QuantizationParameters;
}

/** A choice for the input of each layer, and for the output of the last one. */
export async function chooseParameters(
  histograms: readonly Histogram[],
  options: CheckedQuantizeOptions,
  where: string,
): Promise<Choice[]> {
  const choices: Choice[] = [];
  for (const [i, histogram] of histograms.entries()) {
    await letOthersRun(options.signal, where);
    choices.push(choose(histogram, i === 0 || i === histograms.length - 1, options));
  }
  return choices;
}

/**
 * A choice for one tensor.
 *
 * @param isWhole The range of images is as wide as it is, and logits are no activations: nothing of them is left out.
 */
export function choose(
  histogram: Histogram,
  isWhole: boolean,
  { method, scheme, percentile, bits }: Pick<CheckedQuantizeOptions, 'method' | 'scheme' | 'percentile' | 'bits'>,
): Choice {
  const options: RangeOptions = isWhole
    ? { method: 'minmax', scheme, percentile, bits: 8 }
    : { method, scheme, percentile, bits: bits.activations };
  const range = chooseRange(histogram, options);
  return { range, parameters: parametersOf(range, options) };
}

/** The quantised model that follows from statistics and options. Layers in `keepFloat` and squeeze-and-excitations stay in float. */
export async function assemble(
  model: FloatModel,
  { layers, images }: Pick<Statistics, 'layers' | 'images'>,
  choices: readonly Choice[],
  options: CheckedQuantizeOptions,
  where: string,
): Promise<QuantizedModel> {
  const { method, scheme, perChannel, bits, biasCorrection, keepFloat, quantizeLogits } = options;
  const isInteger = integerSteps(layers, keepFloat);
  const quantized: QuantizedLayer[] = [];
  for (const [i, layer] of layers.entries()) {
    const { parameters } = choices[i] as Choice;
    if (!isInteger[i] || layer.kind === 'squeezeExcite') quantized.push(layer);
    else if (layer.kind === 'globalAverage') quantized.push({ ...layer, precision: 'int8', input: parameters });
    else {
      await letOthersRun(options.signal, where);
      quantized.push(quantizeConv(layer, parameters, { perChannel, bits: bits.weights }));
    }
  }
  const parts = {
    ...{ layers: quantized, output: quantizeLogits && isInteger.at(-1) ? choices.at(-1)?.parameters : undefined },
    ...{ inChannels: model.inChannels, flat: model.flat, preprocessing: model.preprocessing, network: model.network },
    recipe: {
      ...{ method, scheme, perChannel, weightBits: bits.weights, activationBits: bits.activations },
      ...{ equalize: options.equalize ?? false, biasCorrection: biasCorrection ?? false, images },
    },
  };
  return new QuantizedModel(parts, where);
}
