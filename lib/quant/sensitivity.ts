import { describe, mismatch } from '../errors';
import type { QuantizedModel } from '../integer/quantized-model';
import { Model } from '../model/model';
import type { Module } from '../nn/module';
import { untilAborted } from '../runtime/abort';
import { assemble, chooseParameters } from './assemble';
import { type Calibration, CalibrationReader, imageChunks } from './calibration';
import { readFloatModel } from './float-model';
import { type JudgeModel, modelSensitivity } from './graph/sensitivity';
import { checkNames, type QuantizeOptions, readSensitivityOptions } from './options';
import { collectStatistics } from './statistics';

/** What is lost when one layer alone is quantised. */
export interface LayerSensitivity {
  readonly name: string;
  /** What `evaluate` has returned. */
  readonly score: number;
}

/**
 * Options of {@link sensitivity}: those of {@link quantize}, but `biasCorrection`, which would go through the images once more
 * for each layer. Layers in `keepFloat` are not judged: they are in float in all models. With `quantizeLogits` the logits are
 * rounded where it is the last layer that is quantised.
 */
export type SensitivityOptions = Omit<QuantizeOptions, 'biasCorrection'>;

/**
 * Quantises one layer at a time, all others in float, and has each of these models judged: layers that cost most come first,
 * and are those to name in `keepFloat`. It iterates over the calibration images once, and once more to equalise.
 *
 * @param evaluate Judges a model; better ones have higher scores, such as accuracies.
 * @throws {QARepVGGError} (rejects) as {@link quantize}; ERR_INVALID_ARG for a score that is no number; whatever `evaluate`
 * throws.
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
 * The same of a {@link Model}, node by node of those that have weights.
 *
 * @param evaluate Where it is undefined, the score is the signal to quantisation noise of the worst output, in decibels.
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
  options: SensitivityOptions = {},
): Promise<LayerSensitivity[]> {
  const where = 'sensitivity';
  if (model instanceof Model && (evaluate === undefined || typeof evaluate === 'function')) {
    return modelSensitivity(model, calibration, evaluate as JudgeModel | undefined, options, where);
  }
  if (typeof evaluate !== 'function') {
    throw mismatch('ERR_INVALID_ARG', `${where}, evaluate`, 'a function', describe(evaluate));
  }
  const checked = readSensitivityOptions(options, where);
  const float = readFloatModel(model as Module | readonly Module[], where);
  checkNames(checked.keepFloat, float.layers, where);
  const reader = new CalibrationReader(calibration, imageChunks(float), checked.signal, where);
  const statistics = await collectStatistics(float, reader, checked, where);
  const choices = await chooseParameters(statistics.histograms, checked, where);
  const names = float.layers.filter(({ kind }) => kind === 'conv').map(({ name }) => name);
  const results: LayerSensitivity[] = [];
  for (const name of names) {
    if (checked.keepFloat.includes(name)) continue;
    const keepFloat = names.filter((other) => other !== name);
    const quantized = await assemble(float, statistics, choices, { ...checked, keepFloat }, where);
    const judge = async (): Promise<unknown> => evaluate(quantized as never);
    const score = await untilAborted(judge(), checked.signal, where);
    if (typeof score !== 'number' || Number.isNaN(score)) {
      throw mismatch('ERR_INVALID_ARG', `${where}, score of ${name}`, 'a number', describe(score));
    }
    results.push({ name, score });
  }
  return results.sort((a, b) => a.score - b.score);
}
