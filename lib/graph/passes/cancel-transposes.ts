import type { Graph, GraphNode } from '../graph';
import { nodeOf, Rewriter } from '../rewriter';

/** Merges two transpositions in a row. If they undo each other, the result is an identity, which dropIdentities removes. */
export function cancelTransposes(graph: Graph, where: string): Graph {
  const rewriter = new Rewriter(graph, where);
  for (const node of rewriter.nodes()) {
    const before = node.op === 'transpose' ? rewriter.maker(node.inputs[0]) : undefined;
    if (before?.op !== 'transpose' || before.activation || node.activation) continue;
    const [first, second] = [permutationOf(before, rewriter), permutationOf(node, rewriter)];
    const perm = second.map((axis) => first[axis] as number);
    rewriter.replace(node, nodeOf(node, 'transpose', before.inputs, { perm }));
  }
  return rewriter.finish();
}

function permutationOf(node: GraphNode, rewriter: Rewriter): readonly number[] {
  const given = node.attributes.perm as readonly number[] | undefined;
  return given ?? rewriter.dims(node.inputs[0]).map((_, i, { length }) => length - 1 - i);
}
