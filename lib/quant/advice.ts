import type { GraphNode } from '../graph/graph';
import { assembleGraph } from './assemble';
import type { Attempt } from './attempt';
import { floatOutputs, judgedBy } from './judged';
import { NoiseMeter } from './measure';
import type { CheckedQuantizeOptions } from './options';
import { chooseForValues } from './parameters';
import { type IntegerPlan, planIntegers } from './plan';
import type { FloatAdvice } from './report';
import type { Statistics } from './statistics';

/** The report warns about outputs with less signal to noise, in decibels. */
export const leastDecibels = 25;

/** Signal to noise, in decibels, that every output should have. If one has less, other recipes are tried. */
export const wantedDecibels = 30;

/** Each try is judged on this many chunks. */
const judgedChunks = 2;

/**
 * Looks for nodes to keep in float if an output has much noise: as few as possible of those that put the most noise into the
 * outputs when they alone compute in integers.
 */
export async function adviseFloat({ plan, statistics, isKept, biases, options }: Attempt): Promise<FloatAdvice> {
  const sample = statistics.sample.slice(0, judgedChunks);
  const judge = new PlanJudge(plan, { ...statistics, sample }, biases, options);
  try {
    const shares = new Map<GraphNode, Noise>();
    for (const node of weighted(plan)) shares.set(node, await judge.alone(node, isKept));
    const ranked = ranking(shares);
    const attempt = async (count: number): Promise<FloatAdvice> => {
      const named = new Set(ranked.slice(0, count));
      const trial = planIntegers(plan.float, { ...options, isKept: (node) => named.has(node) || isKept(node) });
      const keepFloat = [...options.keepFloat, ...[...named].map(({ name }) => name)];
      return { keepFloat, sqnr: worstOutput(await judge.noiseOf(trial), plan) };
    };
    return await fewest(ranked.length, expectedCount(ranked, shares), attempt);
  } finally {
    judge.dispose();
  }
}

/** Nodes with weights that compute in integers; the nodes without weights follow them. */
export function weighted({ wiring, nodes }: IntegerPlan): GraphNode[] {
  return [...nodes].filter((node) => wiring.roles.get(node) === 'compute');
}

function judgedOf({ wiring: { graph } }: IntegerPlan): Set<string> {
  return new Set(floatOutputs(graph).flatMap((name) => judgedBy(name, graph)));
}

/** Signal to noise of the worst output, in decibels. */
export function worstOutput(noise: Noise, plan: IntegerPlan): number {
  return Math.min(...[...judgedOf(plan)].map((name) => noise.get(name) ?? Number.POSITIVE_INFINITY));
}

/** Corrected biases by node. Each is corrected on exact inputs, so it does not depend on which other nodes compute in integers. */
export type Biases = ReadonlyMap<GraphNode, Float32Array>;

/** Signal to noise by value, in decibels. */
export type Noise = ReadonlyMap<string, number>;

/** Measures plans for one float graph by the noise of its outputs. */
export class PlanJudge {
  readonly #meter: NoiseMeter;
  readonly #plan: IntegerPlan;
  readonly #histograms: Statistics['histograms'];
  readonly #biases: Biases;
  readonly #options: CheckedQuantizeOptions;

  constructor(
    plan: IntegerPlan,
    { histograms, sample }: Pick<Statistics, 'histograms' | 'sample'>,
    biases: Biases,
    options: CheckedQuantizeOptions,
  ) {
    this.#plan = plan;
    this.#histograms = histograms;
    this.#biases = biases;
    this.#options = options;
    this.#meter = new NoiseMeter(plan.wiring.graph, [...judgedOf(plan)], sample, options);
  }

  async noiseOf(plan: IntegerPlan): Promise<Noise> {
    const choices = await chooseForValues(plan, this.#histograms, this.#options);
    return this.#meter.measure(await assembleGraph(plan, choices, this.#options, this.#biases));
  }

  /** Noise of the plan in which only one of the nodes with weights computes in integers. */
  alone(node: GraphNode, isKept: (node: GraphNode) => boolean): Promise<Noise> {
    return this.noiseOf(planAlone(this.#plan, node, isKept, this.#options));
  }

  dispose(): void {
    this.#meter.dispose();
  }
}

/** The plan in which only one of the nodes with weights computes in integers. */
export function planAlone(
  plan: IntegerPlan,
  node: GraphNode,
  isKept: (node: GraphNode) => boolean,
  options: CheckedQuantizeOptions,
  planned = planIntegers,
): IntegerPlan {
  const others = new Set(weighted(plan).filter((one) => one !== node));
  return planned(plan.float, {
    ...options,
    isKept: (one) => others.has(one) || isKept(one),
    free: true,
  });
}

function power(decibels: number): number {
  return 10 ** (-decibels / 10);
}

/** Adds up the noise of nodes in integers, by output. */
class Sum {
  readonly #powers = new Map<string, number>();

  constructor(shares: Iterable<Noise>) {
    for (const share of shares) this.#add(share, 1);
  }

  take(share: Noise): void {
    this.#add(share, -1);
  }

  get worst(): readonly [name: string, decibels: number] {
    let [worst, most] = ['', 0];
    for (const [name, sum] of this.#powers) if (sum > most) [worst, most] = [name, sum];
    return [worst, -10 * Math.log10(most)];
  }

  #add(share: Noise, sign: number): void {
    for (const [name, decibels] of share) {
      this.#powers.set(name, (this.#powers.get(name) ?? 0) + sign * power(decibels));
    }
  }
}

/** The order in which to keep nodes in float: each is the one that adds most to the output that is then the noisiest. */
function ranking(shares: ReadonlyMap<GraphNode, Noise>): GraphNode[] {
  const left = new Map(shares);
  const sum = new Sum(shares.values());
  const ranked: GraphNode[] = [];
  while (left.size > 0) {
    const [name] = sum.worst;
    const [[node, share]] = [...left].sort(([, a], [, b]) => (a.get(name) ?? 0) - (b.get(name) ?? 0)) as [
      [GraphNode, Noise],
    ];
    sum.take(share);
    left.delete(node);
    ranked.push(node);
  }
  return ranked;
}

/** How many nodes must stay in float if the noise of nodes adds up. */
function expectedCount(ranked: readonly GraphNode[], shares: ReadonlyMap<GraphNode, Noise>): number {
  const sum = new Sum(shares.values());
  const count = ranked.findIndex((node) => {
    sum.take(shares.get(node) as Noise);
    return sum.worst[1] >= wantedDecibels;
  });
  return count < 0 ? ranked.length : count + 1;
}

/** Nearly the fewest of the first nodes that give every output the wanted signal. Begins with the expected number. */
async function fewest(
  most: number,
  expected: number,
  attempt: (count: number) => Promise<FloatAdvice>,
): Promise<FloatAdvice> {
  let [few, many] = [0, Math.max(1, expected)];
  let best = await attempt(many);
  while (best.sqnr < wantedDecibels && many < most) {
    [few, many] = [many, Math.min(most, Math.ceil(1.25 * many))];
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
