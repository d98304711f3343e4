import { type Graph, type GraphNode, sameDims } from '../graph';
import type { OpNode } from '../ops/op';
import { padsOf } from '../ops/pad';
import { Rewriter } from '../rewriter';

/** For each operator, whether a node whose output has the input's type and dims returns its input. */
const tests: Readonly<Record<string, (node: OpNode) => boolean>> = {
  identity: () => true,
  dropout: () => true,
  cast: () => true,
  castLike: () => true,
  reshape: () => true,
  flatten: () => true,
  squeeze: () => true,
  unsqueeze: () => true,
  expand: () => true,
  tile: () => true,
  // Equal dims are not enough: pixels may be cropped at one side and added at the other.
  pad: (node) => Object.values(padsOf(node)).every((counts: number[]) => counts.every((count) => count === 0)),
  concat: ({ inputs }) => inputs.length === 1,
  split: ({ node }) => node.outputs.length === 1,
  slice: ({ inputs }) => !inputs[4],
  transpose: ({ attributes, inputs }) =>
    ((attributes.perm as readonly number[] | undefined) ?? []).every((axis, i) => axis === i) &&
    (attributes.perm !== undefined || (inputs[0]?.dims.length ?? 0) < 2),
};

/** Removes nodes that return their input for the graph's dims. */
export function dropIdentities(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes()) {
    if (isIdentity(node, rewriter)) rewriter.bypass(node);
  }
  return rewriter.finish();
}

function isIdentity(node: GraphNode, rewriter: Rewriter): boolean {
  const test = tests[node.op];
  if (!test || node.activation) return false;
  const [from, to] = [node.inputs[0], node.outputs[0]].map((name) => rewriter.value(name as string));
  return from?.type === to?.type && sameDims(from?.dims ?? [], to?.dims ?? []) && test(rewriter.view(node));
}
