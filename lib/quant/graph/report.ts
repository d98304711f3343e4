import type { Graph, GraphNode } from '../../graph/graph';
import { opOf } from '../../graph/ops';
import type { QuantizationRecipe } from '../../integer/quantized-model';
import { letOthersRun } from '../../runtime/abort';
import type { Histogram } from '../histogram';
import type { CheckedQuantizeOptions } from '../options';
import {
  type FloatAdvice,
  type LayerReport,
  type OutputReport,
  type QuantizationReport,
  reportActivations,
  reportWeights,
} from '../report';
import type { AssembledGraph } from './assemble';
import { floatOutputs, judgedBy } from './judged';
import { type IntegerPlan, reasons } from './plan';
import { dataInputs, isFloat } from './roles';
import { weightsOf } from './weights';

/** Values whose histograms a report shows besides those that become bytes. */
export function shownValues(plan: IntegerPlan): string[] {
  const { graph } = plan.wiring;
  const inputs = reportedNodes(plan).flatMap((node) => dataInputs(node, graph).slice(0, 1));
  return [...new Set([...inputs, ...floatOutputs(graph)])];
}

/** Values whose noise a report shows. */
export function judgedValues(plan: IntegerPlan): string[] {
  const { graph } = plan.wiring;
  const outputs = floatOutputs(graph).flatMap((name) => judgedBy(name, graph));
  return [...new Set([...reportedNodes(plan).map((node) => plan.wiring.stored(node)), ...outputs])];
}

/** Nodes that compute in integers or could do so, and tables. */
function reportedNodes(plan: IntegerPlan): GraphNode[] {
  const { wiring, nodes, reasons: found } = plan;
  return wiring.graph.nodes.filter(
    (node) => nodes.has(node) || isTable(node, plan) || (found.has(node) && isOfInterest(node, plan)),
  );
}

/** A node that only moves numbers in float costs too little to be of interest. */
function isOfInterest(node: GraphNode, { wiring, reasons: found }: IntegerPlan): boolean {
  const isMoved = wiring.roles.get(node) === 'mover' && found.get(node) === reasons.neighbours;
  return !isMoved && isFloat(node.outputs[0] as string, wiring.graph);
}

/** Whether a node is a function between two values of bytes. */
function isTable(node: GraphNode, { wiring, values }: IntegerPlan): boolean {
  const [output = ''] = node.outputs;
  return wiring.isFunction(node) && values.has(output) && values.has(wiring.rootOf(output));
}

/** What a report is made of. */
export interface ReportParts {
  readonly model: string;
  readonly assembled: AssembledGraph;
  readonly histograms: ReadonlyMap<string, Histogram>;
  readonly noise: ReadonlyMap<string, number>;
  readonly images: number;
  readonly advice: FloatAdvice | undefined;
}

export async function makeGraphReport(
  { model, assembled, histograms, noise, images, advice }: ReportParts,
  options: CheckedQuantizeOptions,
  where: string,
): Promise<QuantizationReport> {
  const { plan, choices } = assembled;
  const { graph } = plan.wiring;
  const seen = (name: string): Histogram => histograms.get(name) ?? (choices.get(name)?.histogram as Histogram);
  const sqnrOf = (name: string): number => noise.get(name) ?? Number.POSITIVE_INFINITY;
  const layers: LayerReport[] = [];
  for (const node of reportedNodes(plan)) {
    await letOthersRun(options.signal, where);
    const [input = ''] = dataInputs(node, graph);
    const isInteger = plan.nodes.has(node) || isTable(node, plan);
    const from = isTable(node, plan) ? plan.wiring.rootOf(input) : input;
    const reason = isInteger ? undefined : plan.reasons.get(node);
    const weights = reportNodeWeights(node, assembled, where);
    layers.push({
      ...{ name: node.name, kind: onnxName(node), precision: isInteger ? 'int8' : 'float32' },
      ...reportActivations(seen(from), isInteger ? choices.get(from) : undefined),
      sqnr: sqnrOf(plan.wiring.stored(node)),
      ...(weights && { weights }),
      ...(reason !== undefined && { reason }),
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
  return {
    createdAt: new Date().toISOString(),
    ...{ model, recipe: recipeOf(options, images), ...bytesOf(assembled), layers, output, outputs },
    ...(advice && { advice }),
  };
}

const noBins = { low: 0, high: 0, counts: [0] };

/** The operator that a file has for a node, also if a pass has made the node. */
function onnxName(node: GraphNode): string {
  const names: Readonly<Record<string, string>> = { silu: 'SiLU', affine: 'Affine' };
  return opOf(node).onnx || (names[node.op] ?? node.op);
}

function reportNodeWeights(node: GraphNode, { plan, weights }: AssembledGraph, where: string) {
  const found = weights.get(node);
  if (found) return reportWeights(node.name, found.float.weight, found.float.bias.length, found.integers);
  if (plan.wiring.roles.get(node) !== 'compute') return undefined;
  const { weight, bias } = weightsOf(node, plan.wiring.graph.tensors, where);
  return reportWeights(node.name, weight, bias.length, undefined);
}

function recipeOf(options: CheckedQuantizeOptions, images: number): QuantizationRecipe {
  const { method, scheme, perChannel, bits, equalize = false, biasCorrection = false } = options;
  const { weights: weightBits, activations: activationBits } = bits;
  return { method, scheme, perChannel, weightBits, activationBits, equalize, biasCorrection, images };
}

/** Size of the constants in bytes, and what they would take in float32. */
function bytesOf({ graph, plan }: AssembledGraph): { bytes: number; floatBytes: number } {
  const of = ({ tensors }: Graph): number =>
    [...tensors.values()].reduce((sum, { data }) => sum + data.length * data.BYTES_PER_ELEMENT, 0);
  return { bytes: of(graph), floatBytes: of(plan.wiring.graph) };
}
