import type { GraphNode } from '../graph/graph';
import { opOf } from '../graph/ops';
import { nodeView } from '../graph/specialize';
import { dataInputs, elementsOf } from './roles';
import type { Wiring } from './wiring';

/*
 * What integers save and cost, in units of the time of a multiply-add in float. The figures are estimates for AVX2, where
 * integers gain least. A multiply-add in integers takes 0.6 units. Writing and reading a number takes 6 units in float, and a
 * quarter of that as a byte. Quantising a number takes 10 units, dequantising it takes 6.
 */
const savedPerMac = 0.4;
const savedPerNumber = 4.5;
const roundingCost = 10;
const turningCost = 6;

/** What it saves to compute a node in integers. */
export function savingOf(node: GraphNode, { graph }: Wiring): number {
  const macs = opOf(node).macs?.(nodeView(node, graph.values, graph.tensors)) ?? 0;
  const numbers = [...dataInputs(node, graph), ...node.outputs].reduce((sum, name) => sum + elementsOf(name, graph), 0);
  return savedPerMac * macs + savedPerNumber * numbers;
}

/** What it costs to quantise a value that is computed in float. */
export function costOfRounding(name: string, { graph }: Wiring): number {
  return roundingCost * elementsOf(name, graph);
}

/** What it costs to dequantise the bytes of a value. */
export function costOfTurning(name: string, { graph }: Wiring): number {
  return turningCost * elementsOf(name, graph);
}
