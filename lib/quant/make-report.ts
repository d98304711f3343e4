import { stepsWithin } from '../errors';
import type { GraphNode } from '../graph/graph';
import type { QuantizationRecipe } from '../model/quantized-model';
import { letOthersRun } from '../runtime/abort';
import { inSlices, type Steps } from '../slices';
import type { AssembledGraph } from './assemble';
import { integerNodes } from './computed';
import { coarse, Histogram } from './histogram';
import { floatOutputs, judgedBy } from './judged';
import type { CheckedQuantizeOptions } from './options';
import type { Choice } from './parameters';
import { type IntegerPlan, isTable, reasons } from './plan';
import { dequantizeWeights, type IntegerWeights, magnitude, rowsOf } from './quantize-weights';
import { saturationOf } from './ranges';
import {
  type ActivationReport,
  type LayerReport,
  type OutputReport,
  type QuantizationReport,
  Ratio,
  type WeightReport,
} from './report';
import { dataInputs } from './roles';
import type { Row, Subject } from './subject';
import { type NodeWeights, weightsOf } from './weights';

/** Values whose histograms a report shows besides those that become bytes. */
export function shownValues(rows: readonly Row[], { wiring: { graph } }: IntegerPlan): string[] {
  const inputs = rows.flatMap(({ node }) => dataInputs(node, graph).slice(0, 1));
  return [...new Set([...inputs, ...floatOutputs(graph)])];
}

/** Values whose noise a report shows. */
export function judgedValues(rows: readonly Row[], { wiring: { graph } }: IntegerPlan): string[] {
  const outputs = floatOutputs(graph).flatMap((name) => judgedBy(name, graph));
  return [...new Set([...rows.map(({ output }) => output), ...outputs])];
}

/** What a report is made of. */
export interface ReportParts<M> {
  readonly subject: Subject<M>;
  readonly assembled: AssembledGraph;
  readonly histograms: ReadonlyMap<string, Histogram>;
  readonly noise: ReadonlyMap<string, number>;
}

/** Reports nodes and outputs. */
export async function reportNodes<M>(
  { subject, assembled, histograms, noise }: ReportParts<M>,
  options: Pick<CheckedQuantizeOptions, 'signal'>,
): Promise<Pick<QuantizationReport, 'layers' | 'output'> & { readonly outputs: readonly OutputReport[] }> {
  const { plan, choices } = assembled;
  const { graph } = plan.wiring;
  const seen = (name: string): Histogram => histograms.get(name) ?? (choices.get(name)?.histogram as Histogram);
  const sqnrOf = (name: string): number => noise.get(name) ?? Number.POSITIVE_INFINITY;
  const layers: LayerReport[] = [];
  const computed = await inSlices(integerNodes(assembled));
  for (const { node, kind, output, reason } of subject.rows(plan)) {
    await letOthersRun(options.signal);
    const [input = ''] = dataInputs(node, graph);
    const isRefused = assembled.weights.has(node) && !computed.has(node);
    const isInteger = !isRefused && (plan.nodes.has(node) || isTable(node, plan));
    const why = isRefused ? reasons.engine : reason;
    const from = isTable(node, plan) ? plan.wiring.rootOf(input) : input;
    const weights = await inSlices(stepsWithin(plan.float.placeOf(node), reportNodeWeights(node, assembled)));
    layers.push({
      name: subject.nameOf(node),
      kind,
      precision: isInteger ? 'int8' : 'float32',
      ...reportActivations(seen(from), isInteger ? choices.get(from) : undefined),
      sqnr: sqnrOf(output),
      ...(weights && { weights }),
      ...(!isInteger && why !== undefined && { reason: why }),
    });
  }
  const outputs = floatOutputs(graph).map((name): OutputReport => {
    const judged = judgedBy(name, graph);
    const sqnr = Math.min(...judged.map(sqnrOf));
    const behind = judged.includes(name) ? {} : { judgedBy: judged };
    return { name, ...reportActivations(seen(name), choices.get(name)), sqnr, ...behind };
  });
  const worst = outputs.reduce(
    (least: OutputReport | undefined, one) => (!least || one.sqnr < least.sqnr ? one : least),
    undefined,
  );
  const { name: _, ...output } = worst ?? {
    name: '',
    min: 0,
    max: 0,
    saturation: 0,
    activations: noBins,
    sqnr: Number.POSITIVE_INFINITY,
  };
  return { layers, output, outputs };
}

const noBins = { low: 0, high: 0, counts: [0] };

function* reportNodeWeights(node: GraphNode, { plan, weights }: AssembledGraph): Steps<WeightReport | undefined> {
  const found = weights.get(node);
  if (found) return yield* reportWeights(found.float, found.integers);
  if (plan.wiring.roles.get(node) !== 'compute') return undefined;
  return yield* reportWeights(weightsOf(node, plan.wiring.graph.tensors), undefined);
}

export function recipeOf(options: CheckedQuantizeOptions, images: number): QuantizationRecipe {
  const { method, scheme, perChannel, bits, equalize = false, biasCorrection = false } = options;
  const { weights: weightBits, activations: activationBits } = bits;
  return { method, scheme, perChannel, weightBits, activationBits, equalize, biasCorrection, images };
}

const binsShown = 64;

function reportActivations(histogram: Histogram, choice: Choice | undefined): ActivationReport {
  const { min, max } = histogram;
  const activations = coarse(histogram, binsShown);
  if (!choice) return { min, max, saturation: 0, activations };
  const { parameters, range } = choice;
  return { min, max, ...parameters, saturation: saturationOf(histogram, parameters, range), activations };
}

/** @param integers The same as bytes; nothing where they stay in float. */
function* reportWeights(
  { weight, bias }: NodeWeights,
  integers: Pick<IntegerWeights, 'weight' | 'weightScale'> | undefined,
): Steps<WeightReport> {
  const rows = rowsOf(weight, bias.length);
  const channels: number[] = [];
  for (const row of rows) {
    channels.push(magnitude(row));
    yield;
  }
  const histogram = new Histogram();
  histogram.add(weight);
  yield;
  const common = { min: histogram.min, max: histogram.max, channels, histogram: coarse(histogram, binsShown) };
  if (!integers) return { ...common, sqnr: Number.POSITIVE_INFINITY };
  const ratio = new Ratio();
  const received = rowsOf(dequantizeWeights(integers), bias.length);
  for (const [i, row] of rows.entries()) {
    yield;
    ratio.add(row, received[i] as Float32Array);
  }
  const scales = integers.weightScale;
  const ends = [scales.reduce((a, b) => Math.min(a, b)), scales.reduce((a, b) => Math.max(a, b))] as const;
  return { ...common, scales: ends, sqnr: ratio.decibels };
}
