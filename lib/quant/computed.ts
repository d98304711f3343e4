import { createHash } from 'node:crypto';
import type { GraphNode } from '../graph/graph';
import { isIntegerProduct, optimize } from '../graph/passes';
import type { Steps } from '../slices';
import type { AssembledGraph } from './assemble';
import { dimsOf } from './roles';

/**
 * The nodes with weights that a session computes in integers, for images like those of the calibration. Its passes decide that; a
 * node is recognised by its weights.
 */
export function* integerNodes({ graph, weights }: AssembledGraph): Steps<ReadonlySet<GraphNode>> {
  const dims = new Map(graph.inputs.map(({ name }) => [name, dimsOf(name, graph)]));
  const { nodes, tensors } = yield* optimize(graph, dims);
  const left = new Map<string, number>();
  for (const { inputs } of nodes.filter(isIntegerProduct)) {
    const key = keyOf(tensors.get(inputs[1] as string)?.data as Int8Array);
    left.set(key, (left.get(key) ?? 0) + 1);
    yield;
  }
  const found = new Set<GraphNode>();
  for (const [node, { integers }] of weights) {
    // The engine has the weights of products by output channel.
    const key = keyOf(node.op === 'convTranspose' ? integers.bytes : integers.weight);
    const count = left.get(key) ?? 0;
    if (count > 0) found.add(node);
    left.set(key, count - 1);
    yield;
  }
  return found;
}

function keyOf(weights: Int8Array): string {
  return createHash('sha1').update(weights).digest('base64');
}
