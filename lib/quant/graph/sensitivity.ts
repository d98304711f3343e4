import { describe, mismatch } from '../../errors';
import type { GraphNode } from '../../graph/graph';
import type { Model } from '../../model/model';
import { untilAborted } from '../../runtime/abort';
import type { Calibration } from '../calibration';
import { readSensitivityOptions } from '../options';
import type { LayerSensitivity, SensitivityOptions } from '../sensitivity';
import { PlanJudge, planAlone, weighted, worstOutput } from './advice';
import { assembleGraph } from './assemble';
import { chooseForValues } from './parameters';
import { calibrate, modelOf } from './quantize';

/** Scores a quantised model; higher is better. */
export type JudgeModel = (model: Model) => number | Promise<number>;

/**
 * `sensitivity` for a {@link Model}: of each node that has weights.
 *
 * @param judge Default: the signal to quantisation noise of the worst output, in decibels.
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
  const meter = new PlanJudge(plan, statistics, new Map(), checked, where);
  const scoreOf = async (node: GraphNode): Promise<unknown> => {
    const alone = planAlone(plan, node, isKept, checked);
    if (!judge) return worstOutput(await meter.noiseOf(alone), plan);
    const choices = await chooseForValues(alone, statistics.histograms, checked, where);
    const { graph } = await assembleGraph(alone, choices, checked, where);
    return judge(modelOf(model, graph, float));
  };
  const results: LayerSensitivity[] = [];
  try {
    for (const node of weighted(plan)) {
      const value = await untilAborted(scoreOf(node), checked.signal, where);
      if (typeof value !== 'number' || Number.isNaN(value)) {
        throw mismatch('ERR_INVALID_ARG', `${where}, score of ${node.name}`, 'a number', describe(value));
      }
      results.push({ name: node.name, score: value });
    }
  } finally {
    meter.dispose();
  }
  return results.sort((a, b) => a.score - b.score);
}
