import { describe, mismatch } from '../errors';
import type { QuantizedModel } from '../integer/quantized-model';
import type { Module } from '../nn/module';
import { throwIfAborted } from '../runtime/abort';
import { assemble, chooseParameters } from './assemble';
import { type Calibration, CalibrationReader } from './calibration';
import { readFloatModel } from './float-model';
import { type QuantizeOptions, readQuantizeOptions } from './options';
import { collectStatistics } from './statistics';

/** What is lost when one layer alone is quantised. */
export interface LayerSensitivity {
  readonly name: string;
  /** What `evaluate` has returned. */
  readonly score: number;
}

/** Options of {@link sensitivity}: those of {@link quantize} that make sense for one layer. */
export type SensitivityOptions = Omit<QuantizeOptions, 'keepFloat' | 'biasCorrection' | 'quantizeLogits'>;

/**
 * Quantises one layer at a time, all others in float, and has each of these models judged: layers that cost most come first,
 * and are those to name in `keepFloat`. The calibration is gone through once.
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
  options: SensitivityOptions = {},
): Promise<LayerSensitivity[]> {
  const where = 'sensitivity';
  if (typeof evaluate !== 'function') {
    throw mismatch('ERR_INVALID_ARG', `${where}, evaluate`, 'a function', describe(evaluate));
  }
  const checked = readQuantizeOptions(options, where);
  const float = readFloatModel(model, where);
  const reader = new CalibrationReader(calibration, float, where);
  const statistics = await collectStatistics(float, reader, checked, where);
  const choices = chooseParameters(statistics.histograms, checked);
  const names = float.layers.filter(({ kind }) => kind === 'conv').map(({ name }) => name);
  const results: LayerSensitivity[] = [];
  for (const name of names) {
    throwIfAborted(checked.signal, where);
    const keepFloat = names.filter((other) => other !== name);
    const score: unknown = await evaluate(assemble(float, statistics, choices, { ...checked, keepFloat }, where));
    if (typeof score !== 'number' || Number.isNaN(score)) {
      throw mismatch('ERR_INVALID_ARG', `${where}, score of ${name}`, 'a number', describe(score));
    }
    results.push({ name, score });
  }
  return results.sort((a, b) => a.score - b.score);
}
