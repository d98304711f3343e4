import { within } from '../errors';
import { checkFinite } from '../finite';
import type { Graph, GraphNode, GraphTensor } from '../graph/graph';
import { letOthersRun } from '../runtime/abort';
import type { Tensor } from '../tensor';
import { findBonds } from './bonds';
import type { FloatGraph } from './float-graph';
import { Observer } from './observer';
import { magnitude, rowsOf } from './quantize-weights';
import { floatsOf } from './roles';
import { type FeedPass, type PassOptions, valuePlaces } from './statistics';
import { type NodeWeights, weightsOf } from './weights';

/**
 * Cross-layer equalisation (Nagel et al., arXiv 1906.04721) along the edges of a graph, including depthwise convolutions and sums: divides
 * a channel by a factor where it is written, and multiplies it where it is read. So the ranges of channels become more alike, as one scale
 * serves all of them. In float the graph computes the same bits as before, except where a number reaches a clip and is larger than any
 * that calibration has seen in its channel.
 */
export async function equalize(
  float: FloatGraph,
  { first, chunks }: FeedPass,
  options: PassOptions,
): Promise<FloatGraph> {
  const { graph, placeOf } = float;
  const bonds = findBonds(graph);
  const largest = new Map(
    bonds.flatMap(({ values, channels }) => values.map((name) => [name, new Float32Array(channels)] as const)),
  );
  const valuePlace = valuePlaces(float);
  const observer = new Observer(graph, [...largest.keys()], first.count, options);
  try {
    for await (const chunk of chunks) {
      await observer.show(chunk, (name, value: Tensor) => {
        within(valuePlace(name), () => checkFinite(value.data));
        raiseToMagnitudes(largest.get(name) as Float32Array, value);
      });
    }
  } finally {
    observer.dispose();
  }
  const convs = new Map<GraphNode, Equalizable>();
  const read = (node: GraphNode): Equalizable =>
    convs.get(node) ?? within(placeOf(node), () => equalizable(node, graph));
  for (const bond of bonds) {
    await letOthersRun(options.signal);
    const activations = maximum(
      bond.values.map((name) => largest.get(name) as Float32Array),
      bond.channels,
    );
    const factors = factorsOf(activations, bond.readers.map(read), bond.ceiling);
    for (const node of bond.readers) convs.set(node, scaleInputs(read(node), factors));
    for (const node of bond.writers) convs.set(node, scaleOutputs(read(node), factors));
  }
  return { ...float, graph: withWeights(graph, convs) };
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
  const { weight, outChannels, inChannels } = layer;
  const size = weight.length / outChannels;
  const rows = rowsOf(weight, outChannels).map((row) => magnitude(row) || 1);
  const largest = new Float32Array(inChannels);
  eachInput(layer, (begin, end, channel) => {
    const relative = magnitude(weight.subarray(begin, end)) / (rows[Math.floor(begin / size)] as number);
    if (relative > (largest[channel] as number)) largest[channel] = relative;
  });
  return largest;
}

function equalizable(node: GraphNode, graph: Graph): Equalizable {
  const { dims } = graph.tensors.get(node.inputs[1] as string) as GraphTensor;
  const groups = node.attributes.group as number;
  const [outChannels = 1, depth = 1] = dims;
  return { ...weightsOf(node, graph.tensors), outChannels, inChannels: depth * groups, groups };
}

function withWeights(graph: Graph, convs: ReadonlyMap<GraphNode, Equalizable>): Graph {
  const tensors = new Map(graph.tensors);
  const replace = (name: string, data: Float32Array): void => {
    const tensor = tensors.get(name);
    if (tensor && floatsOf(tensor)) tensors.set(name, { ...tensor, data });
  };
  for (const [{ inputs }, { weight, bias }] of convs) {
    replace(inputs[1] as string, weight);
    replace(inputs[2] ?? '', bias);
  }
  return { ...graph, tensors };
}

/** Raises `largest` to the largest absolute value of each channel of images [n, c, h, w]. */
function raiseToMagnitudes(largest: Float32Array, { data, dims }: Tensor): void {
  const [, channels, height, width] = dims as [number, number, number, number];
  const area = height * width;
  for (let plane = 0; plane < data.length / area; plane++) {
    const channel = plane % channels;
    let most = largest[channel] as number;
    for (let i = plane * area; i < (plane + 1) * area; i++) {
      const value = Math.abs(data[i] as number);
      if (value > most) most = value;
    }
    largest[channel] = most;
  }
}

/** What of a convolution equalisation knows: weights [outChannels, inChannels / groups, ...taps]. */
interface Equalizable extends NodeWeights {
  readonly outChannels: number;
  readonly inChannels: number;
  readonly groups: number;
}

function scaleOutputs(layer: Equalizable, factors: Float32Array): Equalizable {
  const weight = layer.weight.slice();
  const size = weight.length / layer.outChannels;
  factors.forEach((factor, i) => {
    multiply(weight, i * size, (i + 1) * size, 1 / factor);
  });
  return { ...layer, weight, bias: layer.bias.map((value, i) => value / (factors[i] as number)) };
}

function scaleInputs(layer: Equalizable, factors: Float32Array): Equalizable {
  const weight = layer.weight.slice();
  eachInput(layer, (begin, end, channel) => multiply(weight, begin, end, factors[channel] as number));
  return { ...layer, weight };
}

/** In place. Exact: factors are powers of two. */
function multiply(values: Float32Array, begin: number, end: number, factor: number): void {
  for (let i = begin; i < end; i++) (values[i] as number) *= factor;
}

/** Where the weights lie that take up an input channel for one output channel: from `begin` on, below `end`. */
function eachInput(
  { weight, outChannels, inChannels, groups }: Equalizable,
  visit: (begin: number, end: number, channel: number) => void,
): void {
  const depth = inChannels / groups;
  const taps = weight.length / outChannels / depth;
  for (let out = 0, begin = 0; out < outChannels; out++) {
    const base = Math.floor((out * groups) / outChannels) * depth;
    for (let channel = 0; channel < depth; channel++, begin += taps) {
      visit(begin, begin + taps, base + channel);
    }
  }
}
