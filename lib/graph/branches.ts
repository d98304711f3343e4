import { mismatch, quote } from '../errors';
import type { Branch, Graph, GraphNode, GraphTensor } from './graph';

/**
 * Iterates nodes, and instead of an If those of the branch that it takes: its condition must be a constant by then.
 *
 * @param chosen The branches that have been taken, for the caller to see.
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a condition that is no constant, and for a branch that cannot be computed.
 */
export function* takenNodes(
  nodes: readonly GraphNode[],
  tensors: ReadonlyMap<string, GraphTensor>,
  chosen?: Map<GraphNode, Branch>,
): Generator<GraphNode> {
  for (const node of nodes) {
    if (!node.branches) {
      yield node;
      continue;
    }
    const branch = takenBranch(node, tensors);
    chosen?.set(node, branch);
    yield* takenNodes(branch.nodes, tensors, chosen);
    yield* outputsOf(node, branch);
  }
}

function takenBranch(node: GraphNode, tensors: ReadonlyMap<string, GraphTensor>): Branch {
  const [condition = ''] = node.inputs;
  const number = tensors.get(condition)?.data[0];
  if (number === undefined) {
    const expected = 'a condition that follows from constants and from the dims of the inputs';
    throw mismatch('ERR_MODEL_INCOMPATIBLE', placeOf(node), expected, 'one that is computed from data');
  }
  const [yes, no] = node.branches as readonly [Branch, Branch];
  const branch = Number(number) === 0 ? no : yes;
  if (branch.fault) throw branch.fault;
  return branch;
}

/** Gives the results of a branch the names of the outputs of its If. */
export function outputsOf({ name, outputs }: GraphNode, branch: Branch): GraphNode[] {
  return outputs.flatMap((output, i) =>
    output === ''
      ? []
      : [{ name, op: 'identity', inputs: [branch.outputs[i] as string], outputs: [output], attributes: {} }],
  );
}

/** Whether a graph has an If. */
export function hasBranches({ nodes }: Pick<Graph, 'nodes'>): boolean {
  return nodes.some(({ branches }) => branches);
}

/** @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for an If: what is done with the graph would have to be done with every path. */
export function refuseBranches({ nodes }: Pick<Graph, 'nodes'>): void {
  const node = nodes.find(({ branches }) => branches);
  if (!node) return;
  const expected = 'a condition that does not depend on the dims of a run: export the network with fixed dims';
  throw mismatch('ERR_MODEL_INCOMPATIBLE', placeOf(node), expected, 'one that does');
}

/** What messages call an If. */
function placeOf({ name }: GraphNode): string {
  return `node ${quote(name)} (If)`;
}
