import { mismatch, quote, within } from '../errors';
import type { GraphNode } from '../graph/graph';
import { checkParameters } from '../model/check-quantized';
import type { QuantizationParameters } from '../model/quantized-layers';
import { letOthersRun } from '../runtime/abort';
import { groupValues } from './groups';
import { Histogram } from './histogram';
import { limitsOf } from './limits';
import type { CheckedQuantizeOptions } from './options';
import type { IntegerPlan } from './plan';
import { chooseRange, parametersOf, type Range, type RangeOptions } from './ranges';
import { dataInputs, floatsOf } from './roles';

/** What was chosen for a value. */
export interface Choice {
  readonly range: Range;
  readonly parameters: QuantizationParameters;
}

/** What calibration has seen of a value that becomes bytes, and the parameters chosen for it. */
export interface ValueChoice extends Choice {
  readonly histogram: Histogram;
}

/**
 * Chooses scale and zero point of every value that becomes bytes. The values of a group share one object.
 *
 * @throws {QARepVGGError} ERR_QUANT_PARAM naming a value or node
 */
export async function chooseForValues(
  plan: IntegerPlan,
  histograms: ReadonlyMap<string, Histogram>,
  options: CheckedQuantizeOptions,
): Promise<Map<string, ValueChoice>> {
  const choices = new Map<string, ValueChoice>();
  for (const { values, sources, constants, isWhole } of groupValues(plan)) {
    await letOthersRun(options.signal);
    const [first = ''] = values;
    const place = `value ${quote(first)}`;
    const seen = sources.flatMap((name) => {
      const histogram = histograms.get(name);
      if (!histogram || isWhole || values.length > 1) return histogram ?? [];
      const { low, high } = limitsOf(name, histograms, plan);
      return histogram.within(low, high);
    });
    for (const constant of constants) {
      const data = floatsOf(constant);
      if (!data || data.length === 0) continue;
      const histogram = new Histogram();
      within(`${place}, a constant beside it`, () => histogram.add(data));
      seen.push(histogram);
    }
    if (seen.length === 0) throw mismatch('ERR_QUANT_PARAM', place, 'numbers to calibrate on', 'none');
    const histogram = Histogram.of(seen);
    const choice = { histogram, ...choose(histogram, isWhole, options) };
    within(place, () => checkParameters(choice.parameters));
    for (const name of values) choices.set(name, choice);
  }
  for (const node of plan.nodes) checkNode(node, plan, choices);
  return choices;
}

/** @param isWhole Leave nothing out: the range of images is as wide as it is, and logits are no activations. */
function choose(
  histogram: Histogram,
  isWhole: boolean,
  { method, scheme, percentile, bits }: CheckedQuantizeOptions,
): Choice {
  const options: RangeOptions = isWhole
    ? { method: 'minmax', scheme, percentile, bits: 8 }
    : { method, scheme, percentile, bits: bits.activations };
  const range = chooseRange(histogram, options);
  return { range, parameters: parametersOf(range, options) };
}

/** Ratios and products of scales that a node computes with must fit into float32, too. */
function checkNode(node: GraphNode, { float, wiring }: IntegerPlan, choices: ReadonlyMap<string, ValueChoice>): void {
  if (wiring.roles.get(node) !== 'binary') return;
  const [a, b] = dataInputs(node, wiring.graph).map(
    (name) => choices.get(name)?.parameters,
  ) as QuantizationParameters[];
  const output = choices.get(wiring.stored(node))?.parameters;
  if (!a || !b || !output) return;
  const ratios =
    node.op === 'mul' ? [(a.scale * b.scale) / output.scale] : [a.scale / output.scale, b.scale / output.scale];
  if (ratios.every((ratio) => Number.isFinite(Math.fround(ratio)))) return;
  const expected = 'scales whose quotients are float32 numbers';
  throw mismatch('ERR_QUANT_PARAM', float.placeOf(node), expected, `${a.scale}, ${b.scale} and ${output.scale}`);
}
