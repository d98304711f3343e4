import { addon } from '../binding';
import { inSlices } from '../slices';
import { type Graph, type GraphNode, type GraphTensor, sizeOf, type Value } from './graph';
import { lowerGraph } from './lower';
import { opOf } from './ops';
import type { OpNode } from './ops/op';
import { optimize } from './passes';
import { quantizedOps } from './quantized-ops';
import { constantsLimit, elementsOf, nodeView } from './specialize';

/**
 * Computes weights that the file has as nodes on constants, such as a product of two matrices. Operators without an `evaluate` of
 * their own run in the engine. What `specialize` folds alone stays, and so do conversions to and from integers.
 *
 * @throws {QARepVGGError} ERR_SHAPE naming a node whose inputs do not fit.
 */
export async function foldConstants(graph: Graph): Promise<Graph> {
  const wanted = nodesToFold(graph);
  if (wanted.size === 0) return graph;
  const tensors = new Map(graph.tensors);
  const nodes: GraphNode[] = [];
  let left = constantsLimit(graph);
  for (const node of graph.nodes) {
    const made = wanted.has(node) ? await compute(node, tensors, left) : undefined;
    left -= elementsOf(made ?? []);
    if (made) for (const [i, name] of node.outputs.entries()) if (name) tensors.set(name, made[i] as GraphTensor);
    if (!made) nodes.push(node);
  }
  const values = new Map([...graph.values].filter(([name]) => graph.tensors.has(name) || !tensors.has(name)));
  return { ...graph, nodes, tensors, values };
}

/** Nodes on constants that `specialize` cannot compute, and those that they need. */
function nodesToFold(graph: Graph): ReadonlySet<GraphNode> {
  const constant = constantNodes(graph);
  const makers = new Map([...constant].flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const wanted = new Set([...constant].filter((node) => !opOf(node).evaluate));
  for (const node of [...constant].reverse()) {
    if (!wanted.has(node)) continue;
    for (const maker of node.inputs.flatMap((name) => makers.get(name) ?? [])) wanted.add(maker);
  }
  return wanted;
}

/** Nodes that depend on constants alone, in order. Conversions stay nodes, so that passes find weights in integers. */
export function constantNodes({ nodes, tensors }: Pick<Graph, 'nodes' | 'tensors'>): ReadonlySet<GraphNode> {
  const made = new Set<string>();
  return new Set(
    nodes.filter((node) => {
      const isIt = node.inputs.every((name) => name === '' || tensors.has(name) || made.has(name));
      if (!isIt || opOf(node).afterRun === 'always' || node.op in quantizedOps) return false;
      for (const name of node.outputs) made.add(name);
      return true;
    }),
  );
}

/** @returns nothing where an input is not constant, or where the outputs are too large or empty. */
async function compute(
  node: GraphNode,
  tensors: ReadonlyMap<string, GraphTensor>,
  left: number,
): Promise<readonly GraphTensor[] | undefined> {
  if (node.inputs.some((name) => name !== '' && !tensors.has(name))) return undefined;
  const view = nodeView(node, new Map(), tensors);
  const { infer, evaluate } = opOf(node);
  const outputs = infer(view);
  if (elementsOf(outputs) > left || outputs.some(({ dims }) => sizeOf(dims) === 0)) return undefined;
  return evaluate ? evaluate(view) : inEngine(view);
}

/** Runs one node: inputs that the engine must know when it compiles are constants of that graph, the others are its inputs. */
async function inEngine({ node, inputs }: OpNode): Promise<readonly GraphTensor[]> {
  const { parameters = [] } = opOf(node);
  const given = inputs.flatMap((input, i) => (input?.tensor ? [{ name: `input${i}`, i, tensor: input.tensor }] : []));
  const fed = given.filter(({ i }) => !parameters.includes(i));
  const outputs = node.outputs.map((name, i) => name && `output${i}`);
  const graph: Graph = {
    inputs: fed.map(({ name, tensor: { type, dims } }): Value => ({ name, type, dims })),
    outputs: outputs.filter((name) => name !== ''),
    nodes: [{ ...node, inputs: inputs.map((input, i) => (input ? `input${i}` : '')), outputs }],
    tensors: new Map(given.filter(({ i }) => parameters.includes(i)).map(({ name, tensor }) => [name, tensor])),
    values: new Map(),
  };
  const dims = new Map(fed.map(({ name, tensor }) => [name, tensor.dims]));
  const special = await inSlices(optimize(graph, dims));
  const spec = { ...lowerGraph(special), independent: false, algorithm: 'gemm', threads: 0 } as const;
  const native = await addon.createSession(spec);
  try {
    const results = await native.run(
      fed.map(({ tensor }) => tensor.data as never),
      1,
    ).promise;
    const made = new Map(graph.outputs.map((name, i) => [name, results[i]]));
    return outputs.map((name) => ({ ...special.values.get(name), data: made.get(name) }) as GraphTensor);
  } finally {
    native.dispose();
  }
}
