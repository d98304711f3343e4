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

/** The passes of a session that are valid for inputs of any dims. */
const passes: readonly Pass[] = [dropCopies, removeDead, padIntoConv, findActivations, ...intoConvs, roundTensors];

/**
 * Folds batch norms into convolutions, merges branches and finds activations. The result still takes inputs of any dims; its
 * values have the dims that follow from `inputs`.
 *
 * @throws {QARepVGGError} the errors of {@link specialize}
 */
export function* prepareGraph(graph: Graph, inputs: InputDims): Steps<Graph> {
  return yield* runPasses(passes, foldConstants(graph, inputs));
}

/** Folds nodes that depend on constants alone. Nodes that depend on dims stay. */
function foldConstants(graph: Graph, inputs: InputDims): Graph {
  const values = specialize(graph, inputs).values as ReadonlyMap<string, ValueType<number>>;
  const tensors = new Map(graph.tensors);
  const nodes: GraphNode[] = [];
  for (const node of graph.nodes) {
    const folded = node.inputs.every((name) => name === '' || tensors.has(name))
      ? opOf(node).evaluate?.(nodeView(node, values, tensors))
      : undefined;
    folded?.forEach((tensor: GraphTensor, i) => {
      if (node.outputs[i]) tensors.set(node.outputs[i], tensor);
    });
    if (!folded) nodes.push(node);
  }
  return { ...graph, nodes, tensors, values };
}

/** Removes nodes that return their input for any dims. */
function dropCopies(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes('identity', 'dropout')) rewriter.bypass(node);
  return rewriter.finish();
}
