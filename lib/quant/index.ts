import type { Model } from '../model/model';
import type { QuantizedModel } from '../model/quantized-model';
import type { Module } from '../nn/module';
import type { Calibration } from './calibration';
import type { QuantizeOptions } from './options';
import type { ModelQuantization, Quantization } from './quantize';
import type { QuantizationReport } from './report';
import type { LayerSensitivity, SensitivityOptions } from './sensitivity';

/** Loaded with the first use. */
const later = (): typeof import('./later') => require('./later');

/**
 * Quantises a model after training: weights and activations become 8-bit integers, with scales that fit the calibration
 * images. About 500 images are enough. The model does not change; its weights are copied before the call returns. Computation
 * runs off the JavaScript thread, or in short pieces on it.
 *
 * @param model A network, block or convolution in deploy form; or an array of these that compute one after the other.
 * @param calibration Images like those that the model will see; see {@link Calibration}. Read once, and once more for each
 * of `equalize` and `biasCorrection`. A few images are in memory at a time.
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
  options?: QuantizeOptions,
): Promise<Quantization | ModelQuantization> {
  return later().quantize(model, calibration, options);
}

/**
 * Quantises one layer at a time, keeps all others in float, and lets `evaluate` judge each of these models. Layers that cost most come
 * first: name these in `keepFloat`. Reads the calibration images once, and once more to equalise.
 *
 * @param evaluate Judges a model; better ones have higher scores, such as accuracies.
 * @throws {QARepVGGError} (rejects) the errors of {@link quantize}; ERR_INVALID_ARG for a score that is not a number; whatever
 * `evaluate` throws.
 *
 * @example
 * const layers = await sensitivity(network, images, async (model) => (await evaluate(model, validation)).accuracy);
 * const keepFloat = layers.slice(0, 2).map(({ name }) => name);
 */
export async function sensitivity(
  model: Module | readonly Module[],
  calibration: Calibration,
  evaluate: (model: QuantizedModel) => number | Promise<number>,
  options?: SensitivityOptions,
): Promise<LayerSensitivity[]>;
/**
 * Same for a {@link Model}: quantises one node with weights at a time.
 *
 * @param evaluate If it is undefined, the score is the signal to quantisation noise of the worst output, in decibels.
 *
 * @example
 * const [worst] = await sensitivity(detector, photographs);
 * const { model } = await quantize(detector, photographs, { keepFloat: [worst.name] });
 */
export async function sensitivity(
  model: Model,
  calibration: Calibration,
  evaluate?: (model: Model) => number | Promise<number>,
  options?: SensitivityOptions,
): Promise<LayerSensitivity[]>;
export async function sensitivity(
  model: Model | Module | readonly Module[],
  calibration: Calibration,
  evaluate?: (model: never) => number | Promise<number>,
  options?: SensitivityOptions,
): Promise<LayerSensitivity[]> {
  return later().sensitivity(model, calibration, evaluate, options);
}

/**
 * A report as one HTML page with plots: it needs no other file and no network, and follows the browser's choice of light or
 * dark.
 *
 * @param report Of {@link quantize}, or the same after JSON.
 * @throws {QARepVGGError} ERR_INVALID_ARG naming what is missing.
 *
 * @example
 * const { report } = await quantize(network, images);
 * await writeFile('report.html', renderReport(report));
 */
export function renderReport(report: QuantizationReport): string {
  return later().renderReport(report);
}
