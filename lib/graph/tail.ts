import { mismatch } from '../errors';
import type { Graph, GraphTensor } from './graph';
import { lateNodes } from './late';
import { nodeOf } from './rewriter';
import { nodeView, specialize } from './specialize';

/** What the tail computes, in messages. */
export const computedLate = 'an operator that is computed behind NonMaxSuppression and NonZero';

/** A graph cut into two parts. */
export interface SplitGraph {
  /** The part that the engine computes. It outputs what the tail reads, and the graph's outputs that do not need the tail. */
  readonly head: Graph;
  readonly tail?: Tail;
}

/** The part whose dims depend on data, such as the number of boxes. It is computed in TypeScript, after the engine has run. */
export interface Tail {
  readonly graph: Graph;
  /** Outputs of the head, by the names that values have in the tail. */
  readonly reads: ReadonlyMap<string, string>;
}

/** Cuts nodes whose dims depend on data, and all nodes that depend on them, off the end of a graph. */
export function splitGraph(graph: Graph): SplitGraph {
  const tail = lateNodes(graph);
  if (tail.size === 0) return { head: graph };
  const behind = [...tail];
  const late = new Set(behind.flatMap(({ outputs }) => outputs));
  const nodes = graph.nodes.filter((node) => !tail.has(node));
  const outside = new Set(behind.flatMap(({ inputs }) => inputs));
  const read = [...outside].filter((name) => name !== '' && !late.has(name) && !graph.tensors.has(name));
  const taken = new Set([...graph.values.keys(), ...graph.nodes.flatMap(({ outputs }) => outputs)]);
  const reads = new Map(read.map((name) => [name, freeName(`${name}/read`, taken)] as const));
  // Copies, because the tail may read an input of the graph, which cannot be an output of the head.
  const copies = [...reads].map(([name, copy]) => nodeOf({ name: copy, outputs: [copy] }, 'identity', [name]));
  const early = graph.outputs.filter((name) => !late.has(name));
  return {
    head: { ...graph, nodes: [...nodes, ...copies], outputs: [...early, ...reads.values()] },
    tail: {
      graph: { ...graph, inputs: [], nodes: behind, outputs: graph.outputs.filter((name) => late.has(name)) },
      reads,
    },
  };
}

function freeName(hint: string, taken: Set<string>): string {
  let name = hint;
  for (let i = 1; taken.has(name); i++) name = `${hint}_${i}`;
  taken.add(name);
  return name;
}

/**
 * Computes the outputs of a tail.
 *
 * @param results Outputs of the head, by name.
 * @throws {QARepVGGError} ERR_SHAPE; ERR_MODEL_INCOMPATIBLE naming a node that is not computed here.
 */
export function computeTail(
  { graph, reads }: Tail,
  results: ReadonlyMap<string, GraphTensor>,
): ReadonlyMap<string, GraphTensor> {
  const given = [...reads].map(([name, copy]) => [name, results.get(copy) as GraphTensor] as const);
  const { nodes, tensors } = specialize({ ...graph, tensors: new Map([...graph.tensors, ...given]) }, new Map());
  const [left] = nodes;
  if (left) {
    const { place } = nodeView(left, new Map(), new Map());
    throw mismatch('ERR_MODEL_INCOMPATIBLE', place, computedLate, 'another one');
  }
  return new Map(graph.outputs.map((name) => [name, tensors.get(name) as GraphTensor]));
}
