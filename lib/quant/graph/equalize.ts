import type { Graph, GraphNode, GraphTensor } from '../../graph/graph';
import type { Tensor } from '../../tensor';
import { type Equalizable, equalizePair, raiseToMagnitudes } from '../equalize';
import type { PassOptions } from '../statistics';
import { Observer } from './observer';
import { dimsOf, floatsOf } from './roles';
import type { FeedPass } from './statistics';
import { weightsOf } from './weights';
import { Wiring } from './wiring';

/** Two convolutions with nothing between them that would tell channels of other factors apart. */
interface Pair {
  readonly first: GraphNode;
  readonly second: GraphNode;
  /** What the second one reads. */
  readonly between: string;
}

/** A factor above 0 goes through these: what goes in times it comes out times it. */
const homogeneous: ReadonlySet<string> = new Set([
  ...['relu', 'leakyRelu', 'maxPool', 'averagePool', 'globalAveragePool', 'globalMaxPool', 'resize'],
]);

/**
 * Cross-layer equalisation along the edges of a graph: from a convolution to the only one that reads it, depthwise ones
 * among them. In float the graph computes the same bits as before.
 */
export async function equalizeGraph(
  graph: Graph,
  { first, chunks }: FeedPass,
  options: PassOptions,
  where: string,
): Promise<Graph> {
  const pairs = equalizablePairs(graph);
  const largest = new Map(pairs.map(({ between }) => [between, new Float32Array(dimsOf(between, graph)[1] as number)]));
  const observer = new Observer(graph, [...largest.keys()], first.count, options, where);
  try {
    for await (const chunk of chunks) {
      await observer.show(chunk, (name, value: Tensor) => raiseToMagnitudes(largest.get(name) as Float32Array, value));
    }
  } finally {
    observer.dispose();
  }
  const convs = new Map<GraphNode, Equalizable>();
  for (const { first, second, between } of pairs) {
    const read = (node: GraphNode): Equalizable => convs.get(node) ?? equalizable(node, graph, where);
    const [one, two] = equalizePair(read(first), read(second), largest.get(between) as Float32Array);
    convs.set(first, one).set(second, two);
  }
  return withWeights(graph, convs);
}

function equalizablePairs(graph: Graph): Pair[] {
  const wiring = new Wiring(graph, () => false);
  const uses = new Map<string, number>();
  for (const { inputs } of graph.nodes) for (const name of inputs) uses.set(name, (uses.get(name) ?? 0) + 1);
  const isConv = (node: GraphNode): boolean =>
    node.op === 'conv' &&
    wiring.roles.get(node) === 'compute' &&
    node.inputs.slice(1).every((name) => uses.get(name) === 1);
  return graph.nodes.filter(isConv).flatMap((first) => {
    let [between = ''] = first.outputs;
    for (;;) {
      const [reader, ...others] = wiring.readers(between);
      if (!reader || others.length > 0 || uses.get(between) !== 1 || graph.outputs.includes(between)) return [];
      if (isConv(reader)) return dimsOf(between, graph).length === 4 ? [{ first, second: reader, between }] : [];
      if (!homogeneous.has(reader.op)) return [];
      [between = ''] = reader.outputs;
    }
  });
}

function equalizable(node: GraphNode, graph: Graph, where: string): Equalizable {
  const { dims } = graph.tensors.get(node.inputs[1] as string) as GraphTensor;
  const groups = node.attributes.group as number;
  const [outChannels = 1, depth = 1] = dims;
  return { ...weightsOf(node, graph.tensors, where), outChannels, inChannels: depth * groups, groups };
}

function withWeights(graph: Graph, convs: ReadonlyMap<GraphNode, Equalizable>): Graph {
  const tensors = new Map(graph.tensors);
  const replace = (name: string, data: Float32Array): void => {
    const tensor = tensors.get(name);
    if (tensor && floatsOf(tensor)) tensors.set(name, { ...tensor, data });
  };
  for (const [
    {
      inputs: [, weight = '', bias = ''],
    },
    conv,
  ] of convs) {
    replace(weight, conv.weight);
    replace(bias, conv.bias);
  }
  return { ...graph, tensors };
}
