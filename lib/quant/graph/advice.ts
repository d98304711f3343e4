import type { GraphNode } from '../../graph/graph';
import type { CheckedQuantizeOptions } from '../options';
import type { FloatAdvice } from '../report';
import { assembleGraph } from './assemble';
import { measureNoise } from './measure';
import type { FeedChunk } from './observer';
import { chooseForValues } from './parameters';
import { type IntegerPlan, planIntegers } from './plan';
import { floatOutputs } from './report';
import { dataInputs } from './roles';
import type { GraphStatistics } from './statistics';

/** Outputs with less signal to noise, in decibels, are warned of; with the nodes named, all have as much as wanted. */
const [leastDecibels, wantedDecibels] = [25, 30];

/** Chunks that a try is judged on. */
const judgedChunks = 2;

/**
 * Looks for nodes to keep in float where an output has much noise: those that add most noise to what they read, as many as it
 * takes. 1, 2, 4 and so on are tried, then numbers between the last two.
 */
export async function adviseFloat(
  plan: IntegerPlan,
  noise: ReadonlyMap<string, number>,
  { histograms, sample }: GraphStatistics,
  options: CheckedQuantizeOptions,
  isKept: (node: GraphNode) => boolean,
  where: string,
): Promise<FloatAdvice | undefined> {
  const { graph } = plan.wiring;
  const outputs = floatOutputs(graph);
  const worst = (ratios: ReadonlyMap<string, number>): number =>
    Math.min(...outputs.map((name) => ratios.get(name) ?? Number.POSITIVE_INFINITY));
  if (outputs.length === 0 || worst(noise) >= leastDecibels || plan.nodes.size === 0) return undefined;
  const ranked = byAddedNoise(plan, noise);
  const judged = sample.slice(0, judgedChunks);
  const attempt = async (count: number): Promise<FloatAdvice> => {
    const named = new Set(ranked.slice(0, count));
    const trial = planIntegers(graph, { ...options, isKept: (node) => named.has(node) || isKept(node) });
    const sqnr = worst(await noiseOf(trial, histograms, judged, options, where));
    return { keepFloat: [...named].map(({ name }) => name), sqnr };
  };
  let [few, many] = [0, 1];
  let best = await attempt(many);
  while (best.sqnr < wantedDecibels && many < ranked.length) {
    [few, many] = [many, Math.min(2 * many, ranked.length)];
    best = await attempt(many);
  }
  while (many - few > Math.max(1, many / 8)) {
    const between = Math.ceil((few + many) / 2);
    const found = await attempt(between);
    if (found.sqnr >= wantedDecibels) [many, best] = [between, found];
    else few = between;
  }
  return best;
}

/** Signal to noise of a plan's outputs. */
export async function noiseOf(
  plan: IntegerPlan,
  histograms: GraphStatistics['histograms'],
  sample: readonly FeedChunk[],
  options: CheckedQuantizeOptions,
  where: string,
): Promise<ReadonlyMap<string, number>> {
  const { graph } = plan.wiring;
  const choices = await chooseForValues(plan, histograms, options, where);
  const assembled = await assembleGraph(plan, choices, options, where);
  return measureNoise(graph, assembled, floatOutputs(graph), sample, options, where);
}

/** Nodes that compute in integers, those first that add most noise to that of what they read; what moves bytes follows them. */
function byAddedNoise({ wiring, nodes }: IntegerPlan, noise: ReadonlyMap<string, number>): GraphNode[] {
  const power = (name: string): number => 10 ** (-(noise.get(name) ?? Number.POSITIVE_INFINITY) / 10);
  const computing = [...nodes].filter((node) => wiring.roles.get(node) !== 'mover');
  const added = computing.map((node) => {
    const read = dataInputs(node, wiring.graph).map((name) => Math.max(power(name), power(wiring.rootOf(name))));
    return [node, power(wiring.stored(node)) - Math.max(0, ...read)] as const;
  });
  return added.sort(([, a], [, b]) => b - a).map(([node]) => node);
}
