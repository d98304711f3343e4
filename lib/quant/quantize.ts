import { boundary } from '../errors';
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

/** Without the overloads of index.ts. */
export async function quantize(
  model: Model | Module | readonly Module[],
  calibration: Calibration,
  options: QuantizeOptions = {},
): Promise<Quantization | ModelQuantization> {
  return boundary('quantize', async () => {
    const checked = readQuantizeOptions(options);
    if (model instanceof Model) return quantizeModel(model, calibration, checked);
    const subject = new ModuleSubject(model, checked.keepFloat);
    const { model: quantized, report } = await finish(subject, await attempt(subject, calibration, checked));
    // A network has one output.
    const { outputs: _, ...rest } = report;
    return { model: quantized, report: rest };
  });
}

/** With other recipes where one leaves much noise, and advice where all do. */
async function quantizeModel(
  model: Model,
  calibration: Calibration,
  options: CheckedQuantizeOptions,
): Promise<ModelQuantization> {
  const subject = new ModelSubject(model, options.keepFloat);
  const plain = await attempt(subject, calibration, options);
  const { equalize = true, biasCorrection = true } = options;
  const isOpen = options.equalize === undefined || options.biasCorrection === undefined;
  const isLoud = plain.worst < wantedDecibels && isRepeatable(calibration);
  const wider = isOpen && isLoud && (await attempt(subject, calibration, { ...options, equalize, biasCorrection }));
  const best = wider && wider.worst > plain.worst ? wider : plain;
  const advice = best.worst < leastDecibels ? await adviseFloat(best) : undefined;
  const { model: quantized, report } = await finish(subject, best);
  return { model: quantized, report: { ...report, ...(advice && { advice }) } };
}
