import type { Graph, GraphNode } from '../graph/graph';
import { Components } from './components';
import { costOfRounding, costOfTurning, savingOf } from './cost';
import type { FloatGraph } from './float-graph';
import { dataInputs, dimsOf, isFloat } from './roles';
import { Wiring } from './wiring';

/** Which parts of a graph compute in integers. */
export interface IntegerPlan {
  readonly float: FloatGraph;
  readonly wiring: Wiring;
  /** Nodes that compute in integers, except functions of one number between two values of bytes: these are tables. */
  readonly nodes: ReadonlySet<GraphNode>;
  /** Values that are rounded to bytes. */
  readonly values: ReadonlySet<string>;
  /** Why a node stays in float though it could compute in integers. */
  readonly reasons: ReadonlyMap<GraphNode, string>;
}

export interface PlanOptions {
  /** Whether a node must stay in float. */
  isKept(node: GraphNode): boolean;
  /** Round the outputs of the last nodes, too. */
  readonly quantizeLogits: boolean;
  /** Ignore the cost of conversions, to measure the noise of integers. */
  readonly free?: boolean;
}

/** Reasons to stay in float, in the words of the report. */
export const reasons = {
  kept: 'named in keepFloat',
  gate: 'a gate of squeeze-and-excitation: too small to gain',
  neighbours: 'no neighbour in integers on both sides',
  engine: 'no kernel computes it in integers',
  cost: 'rounding at the borders would cost more than integers save',
} as const;

/** Decides which nodes compute in integers, and so which values become bytes. */
export function planIntegers(float: FloatGraph, options: PlanOptions): IntegerPlan {
  const { graph } = float;
  const wiring = new Wiring(graph, options.isKept);
  const left = new Map<GraphNode, string>();
  for (const node of graph.nodes) if (options.isKept(node)) left.set(node, reasons.kept);
  for (const node of gates(wiring)) left.set(node, reasons.gate);
  for (;;) {
    const plan = { float, ...settle(wiring, left, options.quantizeLogits) };
    const losing = options.free ? [] : losingNodes(plan);
    if (losing.length === 0) return plan;
    for (const node of losing) left.set(node, reasons.cost);
  }
}

/** Removes nodes without a neighbour in integers, until all remaining nodes have one. */
function settle(
  wiring: Wiring,
  left: ReadonlyMap<GraphNode, string>,
  quantizeLogits: boolean,
): Omit<IntegerPlan, 'float'> {
  const nodes = new Set([...wiring.roles.keys()].filter((node) => !left.has(node)));
  const found = new Map(left);
  for (let isStable = false; !isStable; ) {
    isStable = true;
    for (const node of [...nodes].reverse()) {
      if (belongs(node, nodes, wiring)) continue;
      nodes.delete(node);
      found.set(node, reasons.neighbours);
      isStable = false;
    }
  }
  return { wiring, nodes, values: byteValues(nodes, wiring, quantizeLogits), reasons: found };
}

function belongs(node: GraphNode, nodes: ReadonlySet<GraphNode>, wiring: Wiring): boolean {
  const role = wiring.roles.get(node);
  if (role === 'compute') return true;
  const isFed = dataInputs(node, wiring.graph).some((name) => {
    const producer = wiring.producer(wiring.rootOf(name));
    return producer !== undefined && nodes.has(producer);
  });
  return (
    isFed && (role === 'average' || node.outputs.some((name) => isRead(behind(node, name, wiring), nodes, wiring)))
  );
}

/** The value that a node stores for an output: after its rectifier, if it has one. */
function behind(node: GraphNode, output: string, wiring: Wiring): string {
  return output === node.outputs[0] ? wiring.stored(node) : output;
}

/** Whether a node in integers reads a value, or a function of it. */
function isRead(name: string, nodes: ReadonlySet<GraphNode>, wiring: Wiring): boolean {
  for (const [user] of wiring.users(name)) if (nodes.has(user)) return true;
  return false;
}

function byteValues(nodes: ReadonlySet<GraphNode>, wiring: Wiring, quantizeLogits: boolean): Set<string> {
  const { graph } = wiring;
  const values = new Set<string>();
  for (const node of nodes) {
    for (const name of dataInputs(node, graph)) {
      values.add(name);
      const root = wiring.rootOf(name);
      const producer = wiring.producer(root);
      // A function of floats stays in float; a function of bytes is a table.
      if (producer && nodes.has(producer)) values.add(root);
    }
    const role = wiring.roles.get(node);
    if (role === 'average' || role === 'mover') for (const name of node.outputs) values.add(name);
    if (quantizeLogits) values.add(wiring.stored(node));
  }
  return values;
}

/** Whether a node is a function between two values of bytes. */
export function isTable(node: GraphNode, { wiring, values }: Pick<IntegerPlan, 'wiring' | 'values'>): boolean {
  const [output = ''] = node.outputs;
  return wiring.isFunction(node) && values.has(output) && values.has(wiring.rootOf(output));
}

/** Convolutions of one pixel whose output multiplies channels. */
function gates(wiring: Wiring): Set<GraphNode> {
  const { graph } = wiring;
  const found = new Set<GraphNode>();
  const walk = (name: string): void => {
    const node = wiring.producer(wiring.rootOf(name));
    const isPixel = node && wiring.roles.get(node) === 'compute' && isOnePixel(node.outputs[0] as string, graph);
    if (!isPixel || found.has(node)) return;
    found.add(node);
    walk(node.inputs[0] as string);
  };
  for (const [node, role] of wiring.roles) {
    if (role !== 'binary' || isOnePixel(node.outputs[0] as string, graph)) continue;
    for (const name of dataInputs(node, graph)) if (isOnePixel(name, graph)) walk(name);
  }
  return found;
}

function isOnePixel(name: string, graph: Graph): boolean {
  const dims = dimsOf(name, graph);
  return dims.length === 4 && dims[2] === 1 && dims[3] === 1;
}

/** Nodes of connected parts in integers whose conversions cost more than the part saves. */
function losingNodes({ wiring, nodes, values }: IntegerPlan): GraphNode[] {
  const islands = new Components<GraphNode>();
  for (const node of nodes) islands.add(node);
  const balance = new Map<GraphNode, number>();
  const book = (node: GraphNode, amount: number): void => {
    balance.set(node, (balance.get(node) ?? 0) + amount);
  };
  for (const node of nodes) book(node, savingOf(node, wiring));
  for (const name of values) {
    const producer = wiring.producer(wiring.rootOf(name));
    const isOurs = producer !== undefined && nodes.has(producer);
    const users = wiring.readers(name).filter((node) => !wiring.isFunction(node));
    const readers = users.filter((node) => nodes.has(node));
    const [first = isOurs ? producer : undefined] = readers;
    if (!first) continue;
    for (const node of readers) islands.join(first, node);
    if (isOurs) islands.join(first, producer);
    else book(first, -costOfRounding(name, wiring));
    const isTurned = users.length > readers.length || wiring.graph.outputs.includes(name);
    if (isTurned && isFloat(name, wiring.graph)) book(first, -costOfTurning(name, wiring));
  }
  return islands
    .groups()
    .filter((group) => group.reduce((sum, node) => sum + (balance.get(node) ?? 0), 0) < 0)
    .flat();
}
