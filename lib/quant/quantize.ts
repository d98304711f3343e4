import type { QuantizedModel } from '../integer/quantized-model';
import { Model } from '../model/model';
import type { Module } from '../nn/module';
import { assemble, chooseParameters } from './assemble';
import { correctBiases } from './bias-correction';
import { type Calibration, CalibrationReader, imageChunks } from './calibration';
import { readFloatModel } from './float-model';
import { type ModelQuantization, quantizeModel } from './graph/quantize';
import { checkNames, type QuantizeOptions, readQuantizeOptions } from './options';
import { makeReport, type QuantizationReport } from './report';
import { collectStatistics } from './statistics';

/** What {@link quantize} resolves to. */
export interface Quantization {
  readonly model: QuantizedModel;
  readonly report: QuantizationReport;
}

/**
 * Quantises a model after training: weights and activations become 8-bit integers, with scales that fit the calibration
 * images. 500 images or so are enough. The model does not change; its weights are copied before the call returns. Computation
 * is off the JavaScript thread, or in pieces between which the event loop runs.
 *
 * @param model A network, block or convolution in deploy form; or an array of such that compute one after the other.
 * @param calibration Images like those that the model will see; see {@link Calibration}. Gone through once, and once more for
 * each of `equalize` and `biasCorrection`. A few images are in memory at a time.
 * @throws {QARepVGGError} (rejects) ERR_MODEL_INCOMPATIBLE for a model that is not in deploy form; ERR_INVALID_ARG for an
 * option, and for a calibration without images; ERR_SHAPE, ERR_DTYPE, ERR_BUFFER_* for images that do not fit; ERR_NON_FINITE
 * for weights, images or activations that are not finite; ERR_QUANT_PARAM for scales beyond the range of float32, and for a
 * layer whose sums could leave 32 bits; ERR_ABORTED.
 *
 * @example
 * const { model, report } = await quantize(network.reparameterize(), dataset, { keepFloat: ['linear'] });
 * await saveModel(model, 'int8.safetensors');
 * console.log(Math.min(...report.layers.map(({ sqnr }) => sqnr)), 'dB');
 */
export async function quantize(
  model: Model,
  calibration: Calibration,
  options?: QuantizeOptions,
): Promise<ModelQuantization>;
export async function quantize(
  model: Module | readonly Module[],
  calibration: Calibration,
  options?: QuantizeOptions,
): Promise<Quantization>;
export async function quantize(
  model: Model | Module | readonly Module[],
  calibration: Calibration,
  options: QuantizeOptions = {},
): Promise<Quantization | ModelQuantization> {
  const where = 'quantize';
  if (model instanceof Model) return quantizeModel(model, calibration, options, where);
  const checked = readQuantizeOptions(options, where);
  const float = readFloatModel(model, where);
  checkNames(checked.keepFloat, float.layers, where);
  const reader = new CalibrationReader(calibration, imageChunks(float), checked.signal, where);
  const statistics = await collectStatistics(float, reader, checked, where);
  const choices = await chooseParameters(statistics.histograms, checked, where);
  let quantized = await assemble(float, statistics, choices, checked, where);
  if (checked.biasCorrection) {
    const layers = await correctBiases(statistics.layers, quantized, reader, checked, where);
    quantized = await assemble(float, { ...statistics, layers }, choices, checked, where);
  }
  const report = await makeReport(quantized, statistics, choices, checked, where);
  return { model: quantized, report };
}
