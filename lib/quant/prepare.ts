import type { Graph, GraphNode, GraphTensor, ValueType } from '../graph/graph';
import { opOf } from '../graph/ops';
import { findActivations } from '../graph/passes/find-activations';
import { intoConvs } from '../graph/passes/into-convs';
import { padIntoConv } from '../graph/passes/pad-into-conv';
import { type Pass, runPasses } from '../graph/passes/pass';
import { removeDead } from '../graph/passes/remove-dead';
import { roundTensors } from '../graph/passes/round-tensors';
import { Rewriter } from '../graph/rewriter';
import { type InputDims, nodeView, specialize } from '../graph/specialize';
import type { Steps } from '../slices';

/** Those of a session that hold for inputs of any dims. */
const passes: readonly Pass[] = [dropCopies, removeDead, padIntoConv, findActivations, ...intoConvs, roundTensors];

/**
 * The graph with batch norms in their convolutions, branches merged and activations recognised, for inputs of any dims still. Its
 * values have the dims that follow from `inputs`.
 *
 * @throws {QARepVGGError} as {@link specialize}
 */
export function* prepareGraph(graph: Graph, inputs: InputDims, where: string): Steps<Graph> {
  return yield* runPasses(passes, foldConstants(graph, inputs, where), where);
}

/** What depends on constants alone is a constant; what depends on dims stays a node. */
function foldConstants(graph: Graph, inputs: InputDims, where: string): Graph {
  const values = specialize(graph, inputs, where).values as ReadonlyMap<string, ValueType<number>>;
  const tensors = new Map(graph.tensors);
  const nodes: GraphNode[] = [];
  for (const node of graph.nodes) {
    const folded = node.inputs.every((name) => name === '' || tensors.has(name))
      ? opOf(node).evaluate?.(nodeView(node, values, tensors, where))
      : undefined;
    folded?.forEach((tensor: GraphTensor, i) => {
      if (node.outputs[i]) tensors.set(node.outputs[i], tensor);
    });
    if (!folded) nodes.push(node);
  }
  return { ...graph, nodes, tensors, values };
}

/** Takes out what gives back its input whatever its dims. */
function dropCopies(graph: Graph, where: string): Graph {
  const rewriter = new Rewriter(graph, where);
  for (const node of rewriter.nodes()) if (node.op === 'identity' || node.op === 'dropout') rewriter.bypass(node);
  return rewriter.finish();
}
