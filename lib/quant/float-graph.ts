import { mismatch } from '../errors';
import { refuseBranches } from '../graph/branches';
import type { Graph, GraphNode } from '../graph/graph';
import type { InputDims } from '../graph/specialize';
import { splitGraph, type Tail } from '../graph/tail';
import type { Model } from '../model/model';
import { inSlices } from '../slices';
import { prepareGraph } from './prepare';

/** The part of a model that the engine computes, ready to be quantised. */
export interface FloatGraph {
  readonly graph: Graph;
  /** The rest of the model, such as non-maximum suppression. */
  readonly tail: Tail | undefined;
  readonly placeOf: PlaceOf;
}

/** What errors call a node. */
export type PlaceOf = (node: GraphNode) => string;

/** @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a quantised model; the errors of `InferenceSession.create` */
export async function readFloatGraph(model: Model, dims: InputDims, placeOf: PlaceOf): Promise<FloatGraph> {
  refuseBranches(model.graph);
  const { head, tail } = splitGraph(model.graph);
  const rounded = head.nodes.find(({ op }) => op === 'quantizeLinear' || op === 'dequantizeLinear');
  if (rounded) {
    const received = `one that rounds already, at node ${JSON.stringify(rounded.name)}`;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', 'a model in float', received);
  }
  return { graph: await inSlices(prepareGraph(head, dims)), tail, placeOf };
}

/** The graph with its tail appended, for inputs of any dims again. */
export function completed(graph: Graph, tail: Tail | undefined, whole: Graph): Graph {
  const late = (tail?.graph.nodes ?? []).map((node) => ({
    ...node,
    inputs: node.inputs.map((name) => tail?.reads.get(name) ?? name),
  }));
  const nodes = [...graph.nodes, ...late].map((node) => withoutEmpty(node, graph));
  const read = new Set(nodes.flatMap(({ inputs }) => inputs).concat(whole.outputs));
  const tensors = new Map([...whole.tensors, ...graph.tensors].filter(([name]) => read.has(name)));
  const values = new Map([...whole.values].filter(([name]) => whole.outputs.includes(name)));
  return { inputs: whole.inputs, outputs: whole.outputs, nodes, tensors, values };
}

/** Drops empty inputs of an old form of Resize: they mean nothing, and safetensors files cannot hold them. */
function withoutEmpty(node: GraphNode, { tensors }: Graph): GraphNode {
  if (node.op !== 'resize') return node;
  return { ...node, inputs: node.inputs.map((name) => (tensors.get(name)?.data.length === 0 ? '' : name)) };
}
