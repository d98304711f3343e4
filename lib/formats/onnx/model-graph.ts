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
import {
  type Attribute,
  attributeTypes,
  type Initializer,
  type Node,
  type Graph as OnnxGraph,
  type ValueInfo,
} from './schema';

/** The operators are kept in this version's form; some that came later make a file one of the newest version that is read. */
const opset = 18;
const newestOpset = 21;

/** What newer versions have brought: operators, and attributes of older ones. */
const newer: Readonly<Record<string, readonly string[] | 'all'>> = {
  gelu: 'all',
  averagePool: ['dilations'],
  cast: ['saturate'],
  castLike: ['saturate'],
  quantizeLinear: ['saturate', 'block_size', 'output_dtype'],
  dequantizeLinear: ['block_size'],
};

/** Quantised graphs are of this version, the first that quantises per channel: it is what runtimes know of integers. */
const quantizedOpset = 13;

/** What has another form in version 18 than in 13: operators, and attributes of some. */
const sinceQuantized: Readonly<Record<string, readonly string[] | 'all'>> = {
  castLike: 'all',
  hardSwish: 'all',
  layerNormalization: 'all',
  mish: 'all',
  reshape: ['allowzero'],
  resize: ['antialias', 'axes', 'keep_aspect_ratio_policy'],
  shape: ['start', 'end'],
  split: ['num_outputs'],
};

/** Whether version 13 has a node as it is. */
function isOfQuantizedOpset({ op, inputs }: GraphNode, told: readonly string[]): boolean {
  const later = sinceQuantized[op] ?? [];
  if (later === 'all' || told.some((name) => later.includes(name))) return false;
  if (op === 'pad') return inputs.length < 4;
  return !op.startsWith('reduce') || op === 'reduceSum';
}

/** A graph as ONNX has it. */
export interface WrittenGraph {
  readonly graph: OnnxGraph;
  readonly opset: number;
  /** Those of the initializers, which have no data yet. */
  readonly tensors: ReadonlyMap<string, GraphTensor>;
}

/**
 * Writes a graph as it was read, node by node under its own name; what nodes called Constant made are tensors.
 *
 * @param place What stands for the numbers of a tensor.
 */
export function writtenGraph(graph: Graph, place: (name: string, tensor: GraphTensor) => Initializer): WrittenGraph {
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

/** The bytes of a tensor's numbers. */
export function bytesOf({ data }: GraphTensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function constantOf(node: GraphNode): GraphTensor {
  const [tensor] = opOf(node).evaluate?.(nodeView(node, new Map(), new Map(), '')) ?? [];
  return tensor as GraphTensor;
}

function nodeOf(node: GraphNode): { node: Node; isNewer: boolean; isOlder: boolean } {
  const { onnx, attributes: table } = opOf(node);
  // What is as it would be anyway goes without saying, also to versions that do not know it.
  const told = Object.entries(table).filter(([name, { fallback }]) => {
    const value = node.attributes[name];
    return value !== undefined && value !== fallback;
  });
  const attributes = told.map(([name, kind]) => attribute(name, kind, node.attributes[name] as AttributeValue));
  const later = newer[node.op] ?? [];
  return {
    node: { inputs: node.inputs, outputs: node.outputs, name: node.name, opType: onnx, attributes },
    isNewer: later === 'all' || told.some(([name]) => later.includes(name)),
    isOlder: isOfQuantizedOpset(
      node,
      told.map(([name]) => name),
    ),
  };
}

/** Element types are numbers in an attribute of Cast alone; those that a graph does not have are written as what it has instead. */
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

/** Of a value of which nothing is known, the name. */
export function valueInfo(name: string, value: ValueType | undefined): ValueInfo {
  if (!value) return { name };
  const dims = value.dims.map((dim: Dim) => (typeof dim === 'string' ? { param: dim } : { value: dim }));
  return { name, type: { tensor: { elementType: onnxTypeOf(value.type), shape: { dims } } } };
}

export function tensorBytes(tensors: ReadonlyMap<string, GraphTensor>): number {
  return [...tensors.values()].reduce((sum, { dims, data }) => sum + sizeOf(dims) * data.BYTES_PER_ELEMENT, 0);
}
