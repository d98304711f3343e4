import type { GraphNode } from '../../../graph/graph';
import { opOf } from '../../../graph/ops';
import type { Faults } from './faults';

/** Drops outputs that are not computed; they are faults if something reads them. */
export function withComputedOutputs(
  nodes: readonly GraphNode[],
  outputs: readonly string[],
  faults: Faults,
): GraphNode[] {
  const read = new Set([...outputs, ...nodes.flatMap(({ inputs }) => inputs)]);
  return nodes.map((node) => {
    const { computed = node.outputs.length, onnx } = opOf(node);
    const odd = node.outputs.findIndex((name, i) => i >= computed && name !== '' && read.has(name));
    if (odd >= 0) faults.unsupported(node.name, `${onnx}, output ${odd} of which is read`);
    return node.outputs.length > computed ? { ...node, outputs: node.outputs.slice(0, computed) } : node;
  });
}
