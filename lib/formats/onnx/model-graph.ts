import { refuseBranches } from '../../graph/branches';
import { dataTypeOf, onnxTypeOf } from '../../graph/data-types';
import {
  type AttributeValue,
  type Dim,
  type Graph,
  type GraphNode,
  type GraphTensor,
  sizeOf,
  type ValueType,
} from '../../graph/graph';
import { opOf } from '../../graph/ops';
import type { AttributeKind, Kinds } from '../../graph/ops/op';
import { isQuantized } from '../../graph/quantized-form';
import { nodeView } from '../../graph/specialize';
import { bytesOf } from '../../graph/tensors';
import {
  type Attribute,
  attributeTypes,
  type Initializer,
  type Node,
  type Graph as OnnxGraph,
  type ValueInfo,
} from './schema';

/** Operators are kept in the form of this opset. A file with later operators is written in the newest opset that is read. */
const opset = 18;
const newestOpset = 21;

/** Operators of newer versions, and newer attributes of older operators. */
const newer: Readonly<Record<string, readonly string[] | 'all'>> = {
  gelu: 'all',
  gridSample: 'all',
  groupNormalization: 'all',
  averagePool: ['dilations'],
  cast: ['saturate'],
  castLike: ['saturate'],
  quantizeLinear: ['saturate', 'block_size', 'output_dtype'],
  dequantizeLinear: ['block_size'],
};

/** Quantised graphs are written in this opset, the first that quantises per channel: runtimes compute it in integers. */
const quantizedOpset = 13;

/** Operators and attributes whose form differs between opsets 13 and 18. */
const sinceQuantized: Readonly<Record<string, readonly string[] | 'all'>> = {
  castLike: 'all',
  hardSwish: 'all',
  layerNormalization: 'all',
  lpPool: ['ceil_mode', 'dilations'],
  mish: 'all',
  reshape: ['allowzero'],
  resize: ['antialias', 'axes', 'keep_aspect_ratio_policy'],
  shape: ['start', 'end'],
  split: ['num_outputs'],
};

/** Whether a node has the same form in opset 13. */
function isOfQuantizedOpset({ op, inputs }: GraphNode, told: readonly string[]): boolean {
  const later = sinceQuantized[op] ?? [];
  if (later === 'all' || told.some((name) => later.includes(name))) return false;
  if (op === 'pad') return inputs.length < 4;
  return !op.startsWith('reduce') || op === 'reduceSum';
}

/** A graph in ONNX's form. */
export interface WrittenGraph {
  readonly graph: OnnxGraph;
  readonly opset: number;
  /** The tensors of the initializers, which have no data yet. */
  readonly tensors: ReadonlyMap<string, GraphTensor>;
}

/**
 * Writes a graph node by node under its own names; Constant nodes become tensors.
 *
 * @param place Makes the initializer for a tensor.
 */
export function writtenGraph(graph: Graph, place: (name: string, tensor: GraphTensor) => Initializer): WrittenGraph {
  refuseBranches(graph);
  const constants = graph.nodes.filter(({ op }) => op === 'constant');
  const nodes = graph.nodes.filter((node) => !constants.includes(node)).map(nodeOf);
  const made = constants.map((node) => [node.outputs[0] as string, constantOf(node)] as const);
  const read = new Set([...graph.nodes.flatMap(({ inputs }) => inputs), ...graph.outputs]);
  const tensors = new Map([...graph.tensors, ...made].filter(([name]) => read.has(name)));
  return {
    graph: {
      name: 'model',
      nodes: nodes.map(({ node }) => node),
      initializers: [...tensors].map(([name, tensor]) => place(name, tensor)),
      inputs: graph.inputs.map(({ name, ...type }) => valueInfo(name, type)),
      outputs: graph.outputs.map((name) => valueInfo(name, tensors.get(name) ?? graph.values.get(name))),
    },
    opset: nodes.some(({ isNewer }) => isNewer)
      ? newestOpset
      : isQuantized(graph) && nodes.every(({ isOlder }) => isOlder)
        ? quantizedOpset
        : opset,
    tensors,
  };
}

function constantOf(node: GraphNode): GraphTensor {
  const [tensor] = opOf(node).evaluate?.(nodeView(node, new Map(), new Map())) ?? [];
  return tensor as GraphTensor;
}

function nodeOf(node: GraphNode): { node: Node; isNewer: boolean; isOlder: boolean } {
  const { onnx, attributes: table } = opOf(node);
  // Attributes with default values are omitted: older opsets may not have them.
  const told = Object.entries(table).filter(([name, { fallback }]) => {
    const value = node.attributes[name];
    return value !== undefined && value !== fallback;
  });
  const attributes = told.map(([name, kind]) => attribute(name, kind, node.attributes[name] as AttributeValue));
  const later = newer[node.op] ?? [];
  const isWrapped = node.op === 'pad' && node.attributes.mode === 'wrap';
  return {
    node: { inputs: node.inputs, outputs: node.outputs, name: node.name, opType: onnx, attributes },
    isNewer: later === 'all' || told.some(([name]) => later.includes(name)) || isWrapped,
    isOlder: isOfQuantizedOpset(
      node,
      told.map(([name]) => name),
    ),
  };
}

/** Only Cast has an element type as an attribute, which is a number. It is written as the type that the graph uses for it. */
function attribute(name: string, { kind }: AttributeKind, value: AttributeValue): Attribute {
  if (name === 'to')
    return { name, int: onnxTypeOf(dataTypeOf(value as number) ?? 'float32'), type: attributeTypes.int };
  return { name, ...fieldOf(kind, value), type: attributeTypes[kind] };
}

const texts = new TextEncoder();

function fieldOf(kind: keyof Kinds, value: AttributeValue): Attribute {
  switch (kind) {
    case 'int':
      return { int: value as number };
    case 'float':
      return { float: value as number };
    case 'text':
      return { text: texts.encode(value as string) };
    case 'ints':
      return { ints: value as readonly number[] };
    case 'floats':
      return { floats: value as readonly number[] };
    case 'texts':
      return { texts: (value as readonly string[]).map((text) => texts.encode(text)) };
    case 'tensor': {
      const tensor = value as GraphTensor;
      return { tensor: { dims: tensor.dims, dataType: onnxTypeOf(tensor.type), rawData: bytesOf(tensor) } };
    }
  }
}

/** A value without a known type is written as its name only. */
export function valueInfo(name: string, value: ValueType | undefined): ValueInfo {
  if (!value) return { name };
  const dims = value.dims.map((dim: Dim) => (typeof dim === 'string' ? { param: dim } : { value: dim }));
  return { name, type: { tensor: { elementType: onnxTypeOf(value.type), shape: { dims } } } };
}

export function tensorBytes(tensors: ReadonlyMap<string, GraphTensor>): number {
  return [...tensors.values()].reduce((sum, { dims, data }) => sum + sizeOf(dims) * data.BYTES_PER_ELEMENT, 0);
}
