import type { Graph, GraphNode } from '../graph/graph';
import { clipBounds } from '../graph/ops/clip';
import { nodeView } from '../graph/specialize';
import { Components } from './components';
import { dataInputs, dimsOf, isRectifier } from './roles';
import { Wiring } from './wiring';

/** Values whose channels can only be scaled together, by the same factors. */
export interface Bond {
  /** Values that would be rounded to bytes. */
  readonly values: readonly string[];
  /** Convolutions that make these channels. */
  readonly writers: readonly GraphNode[];
  /** Convolutions that read these channels. */
  readonly readers: readonly GraphNode[];
  readonly channels: number;
  /** The lowest upper bound of the clips between the values. */
  readonly ceiling: number;
}

/** Operators that a factor above 0 passes through: f(s * x) = s * f(x). */
// biome-ignore format: many names a line
const homogeneous: ReadonlySet<string> = new Set([
  'relu', 'leakyRelu', 'maxPool', 'averagePool', 'globalAveragePool', 'globalMaxPool', 'resize', 'pad',
]);

/** Finds the bonds between convolutions whose channels can be scaled without changing what the graph computes. */
export function findBonds(graph: Graph): Bond[] {
  const wiring = new Wiring(graph, () => false);
  const [bound, fixed, ceilings] = [new Components<string>(), new Set<string>(), new Map<string, number>()];
  const [writers, readers] = [new Map<string, GraphNode>(), new Map<string, GraphNode[]>()];
  const uses = countUses(graph);
  for (const { name } of graph.inputs) fixed.add(name);
  for (const name of graph.outputs) fixed.add(name);
  for (const node of graph.nodes) {
    const data = dataInputs(node, graph);
    const [input = ''] = data;
    const [output = ''] = node.outputs;
    if (isScalable(node, wiring, uses)) {
      bound.add(output);
      writers.set(output, node);
      readers.set(input, [...(readers.get(input) ?? []), node]);
      continue;
    }
    const ceiling = ceilingOf(node, graph);
    const joined = ceiling === undefined ? tied(node, wiring) : [input];
    for (const name of joined) bound.join(output, name);
    if (ceiling !== undefined) ceilings.set(output, ceiling);
    const rest =
      joined.length > 0 ? node.inputs.filter((name) => !joined.includes(name)) : [...node.inputs, ...node.outputs];
    for (const name of rest) fixed.add(name);
  }
  return bound.groups().flatMap((values) => {
    const [first = ''] = values;
    const channels = dimsOf(first, graph)[1] ?? 0;
    const bond = {
      values: values.filter((name) => wiring.readers(name).some((node) => wiring.roles.has(node))),
      writers: values.flatMap((name) => writers.get(name) ?? []),
      readers: values.flatMap((name) => readers.get(name) ?? []),
      channels,
      ceiling: Math.min(...values.map((name) => ceilings.get(name) ?? Number.POSITIVE_INFINITY)),
    };
    const isOpen = values.every((name) => !fixed.has(name) && dimsOf(name, graph)[1] === channels);
    return isOpen && bond.writers.length > 0 && bond.readers.length > 0 ? [bond] : [];
  });
}

function countUses({ nodes }: Graph): ReadonlyMap<string, number> {
  const uses = new Map<string, number>();
  for (const { inputs } of nodes) for (const name of inputs) uses.set(name, (uses.get(name) ?? 0) + 1);
  return uses;
}

/** Whether a node is a convolution of maps whose weights no other node reads. */
function isScalable(node: GraphNode, wiring: Wiring, uses: ReadonlyMap<string, number>): boolean {
  const isConv = node.op === 'conv' && wiring.roles.get(node) === 'compute';
  return (
    isConv &&
    dimsOf(node.inputs[0] as string, wiring.graph).length === 4 &&
    node.inputs.slice(1).every((name) => name === '' || uses.get(name) === 1)
  );
}

/** The inputs of a node that must have the same factors as its output. */
function tied(node: GraphNode, { graph, roles }: Wiring): readonly string[] {
  const [a = '', b = ''] = node.inputs;
  if (node.op === 'pad') return roles.get(node) === 'mover' ? [a] : [];
  if (homogeneous.has(node.op)) return dimsOf(a, graph).length === 4 ? [a] : [];
  if (roles.get(node) !== 'binary') return [];
  if (node.op === 'add') return [a, b];
  // A product of a map and a gate: the gate is not scaled.
  const isGate = (name: string): boolean =>
    dimsOf(name, graph)
      .slice(2)
      .every((dim) => dim === 1);
  if (isGate(a) === isGate(b)) return [];
  return isGate(a) ? [b] : [a];
}

/** The upper bound, if the node is a clip from zero. */
function ceilingOf(node: GraphNode, graph: Graph): number | undefined {
  if (node.op !== 'clip' || !isRectifier(node, graph) || dimsOf(node.inputs[0] as string, graph).length !== 4) {
    return undefined;
  }
  return clipBounds(nodeView(node, graph.values, graph.tensors)).high;
}
