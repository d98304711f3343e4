import type { Graph, GraphTensor } from '../graph/graph';
import { Components } from './components';
import type { IntegerPlan } from './plan';
import { dataInputs } from './roles';

/** Values of one scale. */
export interface ValueGroup {
  readonly values: readonly string[];
  /** Those that are not moved from others of the group: what their numbers are decides the scale. */
  readonly sources: readonly string[];
  /** Constants that are concatenated with them. */
  readonly constants: readonly GraphTensor[];
  /** Nothing is clamped: images, and what no integers take up. */
  readonly isWhole: boolean;
}

/** Values that pools, concatenations and the like bind together. */
export function groupValues({ wiring, nodes, values }: IntegerPlan): ValueGroup[] {
  const { graph } = wiring;
  const bound = new Components<string>();
  for (const name of values) bound.add(name);
  const moved = new Set<string>();
  const constants = new Map<string, GraphTensor[]>();
  for (const node of nodes) {
    if (wiring.roles.get(node) !== 'mover') continue;
    const [first = ''] = dataInputs(node, graph);
    for (const name of [...dataInputs(node, graph), ...node.outputs]) bound.join(first, name);
    for (const name of node.outputs) moved.add(name);
    if (node.op !== 'concat') continue;
    const tensors = node.inputs.flatMap((name) => graph.tensors.get(name) ?? []);
    constants.set(first, [...(constants.get(first) ?? []), ...tensors]);
  }
  const raw = rawValues(graph, nodes, wiring);
  const isTaken = (name: string): boolean =>
    wiring.readers(name).some((node) => nodes.has(node) || wiring.isFunction(node));
  return bound.groups().map((group) => {
    const sources = group.filter((name) => !moved.has(name));
    return {
      values: group,
      sources,
      constants: group.flatMap((name) => constants.get(name) ?? []),
      isWhole: sources.some((name) => raw.has(name)) || !group.some(isTaken),
    };
  });
}

/** The inputs of the graph, and what is made of them without a product with weights. */
function rawValues(graph: Graph, nodes: IntegerPlan['nodes'], wiring: IntegerPlan['wiring']): Set<string> {
  const raw = new Set(graph.inputs.map(({ name }) => name));
  for (const node of graph.nodes) {
    const data = node.inputs.filter((name) => name !== '' && !graph.tensors.has(name));
    const computes = wiring.roles.get(node) === 'compute' || (nodes.has(node) && wiring.roles.get(node) === 'binary');
    if (!computes && data.length > 0 && data.every((name) => raw.has(name)))
      for (const name of node.outputs) raw.add(name);
  }
  return raw;
}
