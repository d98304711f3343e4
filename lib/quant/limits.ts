import type { Graph, GraphNode, GraphTensor } from '../graph/graph';
import { opOf } from '../graph/ops';
import { nodeView } from '../graph/specialize';
import { numbersOf, tensorOf } from '../graph/tensors';
import type { Histogram } from './histogram';
import type { IntegerPlan } from './plan';
import { dataInputs } from './roles';

/** Bounds of a value beyond which its numbers make no difference to its readers. */
export interface Limits {
  readonly low: number;
  readonly high: number;
}

const none: Limits = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };

/** A function is sampled at this many points: a few for each step of a byte. */
const points = 1024;

/**
 * Finds numbers that need no steps of their own because the readers of the value do not tell them apart: those where a function is
 * flat, such as hard swish below -3, and those for which a sum before a rectifier is negative whatever the other operand.
 */
export function limitsOf(name: string, histograms: ReadonlyMap<string, Histogram>, plan: IntegerPlan): Limits {
  const { wiring } = plan;
  const readers = wiring.readers(name);
  if (wiring.graph.outputs.includes(name) || readers.length === 0) return none;
  const seen = histograms.get(name);
  if (!seen || !(seen.min < seen.max)) return none;
  if (readers.every((node) => wiring.isFunction(node) && wiring.rootOf(node.outputs[0] as string) === name)) {
    return flatEnds(name, seen, plan);
  }
  const [reader] = readers;
  return readers.length === 1 && reader ? rectified(reader, name, histograms, plan) : none;
}

/** A sum is not above zero if this operand is below minus the largest number of the other one. */
function rectified(
  node: GraphNode,
  name: string,
  histograms: ReadonlyMap<string, Histogram>,
  { wiring, nodes }: IntegerPlan,
): Limits {
  const [a, b] = dataInputs(node, wiring.graph);
  const isRectified = node.op === 'add' && nodes.has(node) && wiring.stored(node) !== node.outputs[0];
  const other = histograms.get((a === name ? b : a) as string);
  return isRectified && a !== b && other ? { ...none, low: -Math.max(0, other.max) } : none;
}

/** The bounds beyond which the functions of a value are flat. */
function flatEnds(name: string, { min, max }: Histogram, plan: IntegerPlan): Limits {
  const xs = Float64Array.from({ length: points + 1 }, (_, i) => min + ((max - min) * i) / points);
  let [low, high] = [points, 0];
  for (const ys of functionsOf(name, xs, plan)) {
    const [least, most] = [ys.reduce((a, y) => Math.min(a, y)), ys.reduce((a, y) => Math.max(a, y))];
    if (!Number.isFinite(least) || !Number.isFinite(most)) return none;
    const tolerance = (most - least) / points;
    const differs = (end: number) => (y: number) => Math.abs(y - (ys[end] as number)) > tolerance;
    const first = ys.findIndex(differs(0));
    if (first < 0) continue;
    low = Math.min(low, first - 1);
    high = Math.max(high, ys.findLastIndex(differs(points)) + 1);
  }
  return low < high
    ? { low: low === 0 ? none.low : (xs[low] as number), high: high === points ? none.high : (xs[high] as number) }
    : none;
}

/** Evaluates the functions of a value at `xs`, for each result that other nodes read. */
function functionsOf(name: string, xs: Float64Array, { wiring }: IntegerPlan): Float64Array[] {
  const { graph } = wiring;
  const known = new Map<string, Float64Array>([[name, xs]]);
  const results: Float64Array[] = [];
  for (const node of graph.nodes) {
    const [output = ''] = node.outputs;
    if (!wiring.isFunction(node) || wiring.rootOf(output) !== name) continue;
    const ys = evaluated(node, known, graph);
    known.set(output, ys);
    const isEnd = graph.outputs.includes(output) || wiring.readers(output).some((reader) => !wiring.isFunction(reader));
    if (isEnd) results.push(ys);
  }
  return results;
}

function evaluated(node: GraphNode, known: ReadonlyMap<string, Float64Array>, graph: Graph): Float64Array {
  const [x = ''] = node.inputs;
  if (node.op === 'affine') {
    const [[scale], [shift]] = [node.attributes.scale, node.attributes.shift] as [[number], [number]];
    return (known.get(x) as Float64Array).map((value) => value * scale + shift);
  }
  const tensors = new Map<string, GraphTensor>(graph.tensors);
  for (const [name, values] of known) tensors.set(name, tensorOf('float32', [values.length], values));
  const { evaluate } = opOf(node);
  const [result] = evaluate?.(nodeView(node, graph.values, tensors)) ?? [];
  return result ? Float64Array.from(numbersOf(result)) : Float64Array.of(Number.NaN);
}
