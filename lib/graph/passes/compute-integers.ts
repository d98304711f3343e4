import type { Graph, GraphNode } from '../graph';

/** Loaded with the first graph that has integers. */
const integers = (): typeof import('./integers') => require('./integers');

/**
 * Computes nodes between DequantizeLinear and QuantizeLinear in integers where the engine can. The scales of the conversions
 * become attributes of native nodes. Other conversions stay, and so does a graph without conversions.
 */
export function computeIntegers(graph: Graph): Graph {
  const isGiven = ({ op, inputs: [x = ''] }: GraphNode): boolean => op === 'dequantizeLinear' && !graph.tensors.has(x);
  const isOf = (node: GraphNode): boolean => node.op === 'quantizeLinear' || isGiven(node);
  return graph.nodes.some(isOf) ? integers().computeIntegers(graph) : graph;
}
