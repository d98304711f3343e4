import { boundary, describe, mismatch } from '../errors';
import type { GraphNode } from '../graph/graph';
import { Model } from '../model/model';
import type { QuantizedModel } from '../model/quantized-model';
import type { Module } from '../nn/module';
import { untilAborted } from '../runtime/abort';
import { PlanJudge, planAlone, weighted, worstOutput } from './advice';
import { assembleGraph } from './assemble';
import { calibrate } from './attempt';
import type { Calibration } from './calibration';
import { recipeOf } from './make-report';
import { ModelSubject } from './model-subject';
import { ModuleSubject } from './module-subject';
import { type CheckedQuantizeOptions, type QuantizeOptions, readSensitivityOptions } from './options';
import { chooseForValues } from './parameters';
import type { Subject } from './subject';

/** The score when only this layer is quantised. */
export interface LayerSensitivity {
  readonly name: string;
  /** The result of `evaluate`. */
  readonly score: number;
}

/**
 * Options of {@link sensitivity}: those of {@link quantize} except `biasCorrection`, which would read the images once more for each
 * layer. Layers in `keepFloat` stay in float in all models and are not judged. With `quantizeLogits`, the model whose last layer is
 * quantised also rounds its logits.
 */
export type SensitivityOptions = Omit<QuantizeOptions, 'biasCorrection'>;

/** Without the overloads of index.ts. */
export async function sensitivity(
  model: Model | Module | readonly Module[],
  calibration: Calibration,
  evaluate?: (model: never) => number | Promise<number>,
  options: SensitivityOptions = {},
): Promise<LayerSensitivity[]> {
  return boundary('sensitivity', async () => {
    if (typeof evaluate !== 'function' && !(model instanceof Model && evaluate === undefined)) {
      throw mismatch('ERR_INVALID_ARG', 'evaluate', 'a function', describe(evaluate));
    }
    const checked = readSensitivityOptions(options);
    const { keepFloat } = checked;
    return model instanceof Model
      ? judgeNodes(new ModelSubject(model, keepFloat), calibration, evaluate as Judge<Model>, checked)
      : judgeNodes(new ModuleSubject(model, keepFloat), calibration, evaluate as Judge<QuantizedModel>, checked);
  });
}

type Judge<M> = (model: M) => number | Promise<number>;

/** Scores each node that has weights. @param judge Default: the signal to quantisation noise of the worst output, in decibels. */
async function judgeNodes<M>(
  subject: Subject<M>,
  calibration: Calibration,
  judge: Judge<M> | undefined,
  options: CheckedQuantizeOptions,
): Promise<LayerSensitivity[]> {
  const { plan, statistics, isKept } = await calibrate(subject, calibration, options);
  const meter = new PlanJudge(plan, statistics, new Map(), options);
  const recipe = recipeOf(options, statistics.images);
  const scoreOf = async (node: GraphNode): Promise<unknown> => {
    const alone = planAlone(plan, node, isKept, options, (float, wanted) => subject.plan(float, wanted));
    if (!judge) return worstOutput(await meter.noiseOf(alone), plan);
    const choices = await chooseForValues(alone, statistics.histograms, options);
    return judge(subject.finish(await assembleGraph(alone, choices, options), recipe).model);
  };
  const results: LayerSensitivity[] = [];
  try {
    for (const node of weighted(plan)) {
      const name = subject.nameOf(node);
      const score = await untilAborted(scoreOf(node), options.signal);
      if (typeof score !== 'number' || Number.isNaN(score)) {
        throw mismatch('ERR_INVALID_ARG', `score of ${name}`, 'a number', describe(score));
      }
      results.push({ name, score });
    }
  } finally {
    meter.dispose();
  }
  return results.sort((a, b) => a.score - b.score);
}
