import type { GraphNode } from '../graph/graph';
import { opOf } from '../graph/ops';
import { nodeView } from '../graph/specialize';
import { dataInputs, elementsOf } from './roles';
import type { Wiring } from './wiring';

/*
 * What integers save and cost, in the time of one multiply-add in float. The figures are estimates for AVX2, where integers gain
 * least: a multiply-add in integers takes 0.6 of it; a number that is read or written in float, 8 bytes to and from a cache,
 * as much as 6, a byte a quarter of that; a number that is rounded or turned back, 10 and 6.
 */
const savedPerMac = 0.4;
const savedPerNumber = 4.5;
const roundingCost = 10;
const turningCost = 6;

/** What a node saves in integers. */
export function savingOf(node: GraphNode, { graph }: Wiring): number {
  const macs = opOf(node).macs?.(nodeView(node, graph.values, graph.tensors, '')) ?? 0;
  const numbers = [...dataInputs(node, graph), ...node.outputs].reduce((sum, name) => sum + elementsOf(name, graph), 0);
  return savedPerMac * macs + savedPerNumber * numbers;
}

/** What it costs to round a value that comes from float. */
export function costOfRounding(name: string, { graph }: Wiring): number {
  return roundingCost * elementsOf(name, graph);
}

/** What it costs to turn the bytes of a value back into floats. */
export function costOfTurning(name: string, { graph }: Wiring): number {
  return turningCost * elementsOf(name, graph);
}
