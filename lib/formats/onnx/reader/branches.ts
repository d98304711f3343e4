import type { Branch, GraphNode } from '../../../graph/graph';
import type { Steps } from '../../../slices';
import { type AttributeFields, type GraphFields, graph as graphFields, type NodeFields } from '../schema';
import { decodeSteps } from '../wire';
import { withComputedOutputs } from './computed-outputs';
import { Faults } from './faults';
import { inOrder } from './order';

/** Largest depth of branches in branches. */
const maxDepth = 32;

/** What reads the nodes and tensors of a branch. */
export interface BranchReader {
  /** Reads the tensors of a branch; returns the names that they have in the graph. */
  tensors(fields: GraphFields): Steps<ReadonlyMap<string, string>>;
  nodes(fields: readonly NodeFields[], faults: Faults, depth: number): Steps<readonly GraphNode[]>;
  /** A name for a value of a branch. */
  name(hint: string): string;
}

/** Reads an If: its branches get names that nothing else has. @throws {Error} if it is not valid. */
export function* readIf(fields: NodeFields, name: string, reader: BranchReader, depth: number): Steps<GraphNode> {
  if (depth === maxDepth) throw new Error(`more than ${maxDepth} branches in each other`);
  const branches: Branch[] = [];
  for (const side of ['then_branch', 'else_branch']) {
    const attribute = fields.attributes.find((one) => one.name === side);
    branches.push(yield* readBranch(attribute, `${name}/${side}`, fields.outputs.length, reader, depth));
  }
  const [yes, no] = branches as [Branch, Branch];
  const made = new Set(branches.flatMap((branch) => branch.nodes.flatMap(({ outputs }) => outputs)));
  const read = branches.flatMap(({ nodes, outputs }) => [...nodes.flatMap(({ inputs }) => inputs), ...outputs]);
  const captured = [...new Set(read)].filter((one) => one !== '' && !made.has(one));
  const [condition = ''] = fields.inputs;
  if (condition === '' || fields.outputs.length === 0) throw new Error('no condition, or no outputs');
  const inputs = [condition, ...captured];
  return { name, op: 'branch', inputs, outputs: fields.outputs, attributes: {}, branches: [yes, no] };
}

function* readBranch(
  attribute: AttributeFields | undefined,
  prefix: string,
  count: number,
  reader: BranchReader,
  depth: number,
): Steps<Branch> {
  const faults = new Faults();
  if (!attribute?.graph) throw new Error(`no ${prefix.split('/').at(-1)}`);
  const fields = yield* decodeSteps(graphFields, attribute.graph);
  const names = new Map(yield* reader.tensors(fields));
  for (const output of fields.nodes.flatMap(({ outputs }) => outputs)) {
    if (output === '') continue;
    if (names.has(output)) throw new Error(`${output} is made twice`);
    names.set(output, reader.name(`${prefix}/${output}`));
  }
  const nameOf = (one: string): string => names.get(one) ?? one;
  const renamed = fields.nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map(nameOf),
    outputs: node.outputs.map(nameOf),
  }));
  const nodes = yield* reader.nodes(renamed, faults, depth + 1);
  const outputs = fields.outputs.map(({ name: one = '' }) => nameOf(one));
  if (outputs.length !== count) throw new Error(`${count} outputs, but ${outputs.length} of a branch`);
  const made = new Set(nodes.flatMap((node) => node.outputs));
  const given = new Set(nodes.flatMap(({ inputs }) => inputs).filter((one) => !made.has(one)));
  const ordered = faults.count > 0 ? nodes : inOrder(nodes, given, faults);
  const computed = withComputedOutputs(ordered, outputs, faults);
  const fault = faultOf(faults);
  return fault ? { nodes: [], outputs: [], fault } : { nodes: computed, outputs };
}

/** The error of a branch, which matters only where it is taken. */
function faultOf(faults: Faults): Branch['fault'] {
  try {
    faults.check();
    return undefined;
  } catch (error) {
    return error as Branch['fault'];
  }
}
