import { Model } from '../model/model';
import type { QuantizedModel } from '../model/quantized-model';
import type { Module } from '../nn/module';
import { adviseFloat, leastDecibels, wantedDecibels } from './advice';
import { attempt, finish } from './attempt';
import { type Calibration, isRepeatable } from './calibration';
import { ModelSubject } from './model-subject';
import { ModuleSubject } from './module-subject';
import { type CheckedQuantizeOptions, type QuantizeOptions, readQuantizeOptions } from './options';
import type { QuantizationReport } from './report';

/** What {@link quantize} resolves to. */
export interface Quantization {
  readonly model: QuantizedModel;
  readonly report: QuantizationReport;
}

/** Same for a {@link Model}. */
export interface ModelQuantization {
  readonly model: Model;
  readonly report: QuantizationReport;
}

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
  options: QuantizeOptions = {},
): Promise<Quantization | ModelQuantization> {
  const where = 'quantize';
  const checked = readQuantizeOptions(options, where);
  if (model instanceof Model) return quantizeModel(model, calibration, checked, where);
  const subject = new ModuleSubject(model, checked.keepFloat, where);
  const { model: quantized, report } = await finish(
    subject,
    await attempt(subject, calibration, checked, where),
    where,
  );
  // A network has one output.
  const { outputs: _, ...rest } = report;
  return { model: quantized, report: rest };
}

/** With other recipes where one leaves much noise, and advice where all do. */
async function quantizeModel(
  model: Model,
  calibration: Calibration,
  options: CheckedQuantizeOptions,
  where: string,
): Promise<ModelQuantization> {
  const subject = new ModelSubject(model, options.keepFloat, where);
  const plain = await attempt(subject, calibration, options, where);
  const { equalize = true, biasCorrection = true } = options;
  const isOpen = options.equalize === undefined || options.biasCorrection === undefined;
  const isLoud = plain.worst < wantedDecibels && isRepeatable(calibration);
  const wider =
    isOpen && isLoud && (await attempt(subject, calibration, { ...options, equalize, biasCorrection }, where));
  const best = wider && wider.worst > plain.worst ? wider : plain;
  const advice = best.worst < leastDecibels ? await adviseFloat(best, where) : undefined;
  const { model: quantized, report } = await finish(subject, best, where);
  return { model: quantized, report: { ...report, ...(advice && { advice }) } };
}
