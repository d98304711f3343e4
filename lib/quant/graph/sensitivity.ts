import { describe, mismatch } from '../../errors';
import type { Model } from '../../model/model';
import { untilAborted } from '../../runtime/abort';
import type { Calibration } from '../calibration';
import { readSensitivityOptions } from '../options';
import type { LayerSensitivity, SensitivityOptions } from '../sensitivity';
import { noiseOf } from './advice';
import { assembleGraph } from './assemble';
import { chooseForValues } from './parameters';
import { planIntegers } from './plan';
import { calibrate, modelOf } from './quantize';

/** Judges a quantised model; better ones have higher scores. */
export type JudgeModel = (model: Model) => number | Promise<number>;

/**
 * As `sensitivity`, of a {@link Model}: node by node of those that have weights.
 *
 * @param judge Without it the score is the signal to quantisation noise of the worst output, in decibels.
 */
export async function modelSensitivity(
  model: Model,
  calibration: Calibration,
  judge: JudgeModel | undefined,
  options: SensitivityOptions,
  where: string,
): Promise<LayerSensitivity[]> {
  const checked = readSensitivityOptions(options, where);
  const { float, plan, statistics, isKept } = await calibrate(model, calibration, checked, where);
  const { histograms, sample } = statistics;
  const judged = [...plan.nodes].filter((node) => plan.wiring.roles.get(node) === 'compute');
  const results: LayerSensitivity[] = [];
  for (const node of judged) {
    const isOther = new Set(judged.filter((one) => one !== node));
    const alone = planIntegers(float.graph, {
      ...checked,
      isKept: (one) => isOther.has(one) || isKept(one),
      free: true,
    });
    const score = async (): Promise<unknown> => {
      if (!judge) return Math.min(...(await noiseOf(alone, histograms, sample, checked, where)).values());
      const choices = await chooseForValues(alone, histograms, checked, where);
      const { graph } = await assembleGraph(alone, choices, checked, where);
      return judge(modelOf(model, graph, float));
    };
    const value = await untilAborted(score(), checked.signal, where);
    if (typeof value !== 'number' || Number.isNaN(value)) {
      throw mismatch('ERR_INVALID_ARG', `${where}, score of ${node.name}`, 'a number', describe(value));
    }
    results.push({ name: node.name, score: value });
  }
  return results.sort((a, b) => a.score - b.score);
}
