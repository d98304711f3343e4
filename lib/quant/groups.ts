import type { Graph, GraphTensor } from '../graph/graph';
import { Components } from './components';
import type { IntegerPlan } from './plan';
import { dataInputs } from './roles';

/** Values that share one scale. */
export interface ValueGroup {
  readonly values: readonly string[];
  /** Values that are not moved from others of the group: their numbers decide the scale. */
  readonly sources: readonly string[];
  /** Constants that are concatenated with them. */
  readonly constants: readonly GraphTensor[];
  /** The scale must cover all numbers: for images, and for values that no node in integers reads. */
  readonly isWhole: boolean;
}

/** Groups values that pools, concatenations and the like connect. */
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

/** The inputs of the graph, and the values computed from them without weights. */
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
