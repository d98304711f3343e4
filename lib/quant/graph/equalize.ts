import type { Graph, GraphNode, GraphTensor } from '../../graph/graph';
import type { Tensor } from '../../tensor';
import { type Equalizable, inputMagnitudes, raiseToMagnitudes, scaleInputs, scaleOutputs } from '../equalize';
import type { PassOptions } from '../statistics';
import { findBonds } from './bonds';
import { Observer } from './observer';
import { floatsOf } from './roles';
import type { FeedPass } from './statistics';
import { weightsOf } from './weights';

/**
 * Cross-layer equalisation along the edges of a graph, including depthwise convolutions and sums. In float the graph computes
 * the same bits as before, except where a number reaches a clip and is larger than any that calibration has seen in its channel.
 */
export async function equalizeGraph(
  graph: Graph,
  { first, chunks }: FeedPass,
  options: PassOptions,
  where: string,
): Promise<Graph> {
  const bonds = findBonds(graph);
  const largest = new Map(
    bonds.flatMap(({ values, channels }) => values.map((name) => [name, new Float32Array(channels)] as const)),
  );
  const observer = new Observer(graph, [...largest.keys()], first.count, options, where);
  try {
    for await (const chunk of chunks) {
      await observer.show(chunk, (name, value: Tensor) => raiseToMagnitudes(largest.get(name) as Float32Array, value));
    }
  } finally {
    observer.dispose();
  }
  const convs = new Map<GraphNode, Equalizable>();
  const read = (node: GraphNode): Equalizable => convs.get(node) ?? equalizable(node, graph, where);
  for (const bond of bonds) {
    const activations = maximum(
      bond.values.map((name) => largest.get(name) as Float32Array),
      bond.channels,
    );
    const factors = factorsOf(activations, bond.readers.map(read), bond.ceiling);
    for (const node of bond.readers) convs.set(node, scaleInputs(read(node), factors));
    for (const node of bond.writers) convs.set(node, scaleOutputs(read(node), factors));
  }
  return withWeights(graph, convs);
}

function maximum(lists: readonly Float32Array[], length: number): Float32Array {
  return new Float32Array(length).map((_, i) => Math.max(...lists.map((list) => list[i] as number)));
}

/** Largest factor that a channel is scaled by, and largest divisor, as exponents of 2. */
const maxExponent = 6;

/**
 * Powers of two, so that dividing channels by them is exact. A depthwise convolution has a weight scale for each channel, so all
 * channels of its input can get the same range. Other convolutions have one scale for a row of weights, so activations and weights
 * share the gain. Before a clip, channels can only be made larger, and no larger than its bound.
 */
function factorsOf(largest: Float32Array, readers: readonly Equalizable[], ceiling: number): Float32Array {
  const isDepthwise = readers.every(({ groups, inChannels }) => groups === inChannels);
  const weights = maximum(readers.map(relativeMagnitudes), largest.length);
  const logs = Array.from(largest, (activation, i) =>
    isDepthwise ? Math.log2(activation) : Math.log2(activation / (weights[i] as number)) / 2,
  );
  // A channel that is zero on either side is not scaled.
  const alive = logs.filter(Number.isFinite);
  const most = alive.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const mean = alive.reduce((sum, value) => sum + value, 0) / alive.length;
  return Float32Array.from(logs, (value, i) => {
    if (!Number.isFinite(value)) return 1;
    if (ceiling === Number.POSITIVE_INFINITY) return power(value - (isDepthwise ? most : mean));
    const room = Math.ceil(Math.log2((largest[i] as number) / ceiling));
    return power(Math.min(0, Math.max(room, isDepthwise ? room : value - most)));
  });
}

function power(exponent: number): number {
  return 2 ** Math.round(Math.min(maxExponent, Math.max(-maxExponent, exponent)));
}

/** For each input channel, its largest weight relative to the largest weight of the same row. */
function relativeMagnitudes(layer: Equalizable): Float32Array {
  const size = layer.weight.length / layer.outChannels;
  const weight = layer.weight.slice();
  for (let begin = 0; begin < weight.length; begin += size) {
    const row = weight.subarray(begin, begin + size);
    const largest = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    if (largest > 0) row.set(row.map((value) => value / largest));
  }
  return inputMagnitudes({ ...layer, weight });
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
