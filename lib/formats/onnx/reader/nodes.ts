import { stepsWithin } from '../../../errors';
import type { AttributeValue, GraphNode, GraphTensor } from '../../../graph/graph';
import { opNamed, ops } from '../../../graph/ops';
import type { Additions, FileNode, Op } from '../../../graph/ops/op';
import { tensorOf } from '../../../graph/tensors';
import type { Steps } from '../../../slices';
import type { NodeFields } from '../schema';
import { completeAttributes, readAttribute, readTensorIn } from './attributes';
import { type BranchReader, readIf } from './branches';
import { ownDomains } from './domains';
import { Expansion, UnsupportedForm } from './expansion';
import type { Faults } from './faults';
import { type FusedOp, fusedOpNamed } from './fused';
import type { ExternalBytes } from './tensors';

/** Turns the nodes of a file into those of a graph: in their newest form, with complete attributes. */
export class NodeReader {
  readonly nodes: GraphNode[] = [];
  readonly #opset: number;
  readonly #faults: Faults;
  readonly #external: ExternalBytes;
  readonly #additions: Additions;
  readonly #branches: BranchReader;
  readonly #depth: number;

  /** @param depth In how many branches the nodes are. */
  constructor(
    opset: number,
    additions: Additions,
    external: ExternalBytes,
    faults: Faults,
    branches: BranchReader,
    depth: number,
  ) {
    this.#opset = opset;
    this.#additions = additions;
    this.#external = external;
    this.#faults = faults;
    this.#branches = branches;
    this.#depth = depth;
  }

  *add(fields: NodeFields): Steps<void> {
    const { opType = '', domain = '', inputs, outputs } = fields;
    const name = fields.name || outputs.find((output) => output !== '') || '';
    const known = ops[opNamed(opType) ?? ''];
    const isOwn = ownDomains.includes(domain);
    const fused = fusedOpNamed(opType, domain);
    if (!fused && (!known || (isOwn ? known.domain !== undefined : known.domain !== domain))) {
      this.#faults.unsupported(name, isOwn ? opType : `${opType} of domain ${domain}`);
      return;
    }
    try {
      if (opType === 'If') {
        const node = yield* readIf(fields, name, this.#branches, this.#depth);
        const [yes, no] = node.branches ?? [];
        if (yes?.fault && no?.fault) this.#faults.unsupported(name, `If, in both branches: ${yes.fault.message}`);
        else this.nodes.push(node);
        return;
      }
      const attributes = new Map<string, AttributeValue>();
      for (const attribute of fields.attributes) {
        const key = attribute.name ?? '';
        if (obsolete.includes(key)) continue;
        if (attributes.has(key)) throw new Error(`attribute ${key} twice`);
        const value = readAttribute(attribute) ?? (yield* stepsWithin(key, readTensorIn(attribute, this.#external)));
        attributes.set(key, value);
      }
      const node: FileNode = { name, op: opType, inputs, outputs, attributes };
      const nodes = fused ? this.#expand(node, fused) : this.#upgrade(node);
      for (const made of nodes) this.nodes.push(this.#finish(made));
    } catch (error) {
      const { message } = error as Error;
      if (error instanceof UnsupportedForm) this.#faults.unsupported(name, `${opType} with ${message}`);
      else this.#faults.damaged(name, `${opType}: ${message}`);
    }
  }

  #expand(node: FileNode, { inputs, outputs, attributes, expand }: FusedOp): readonly FileNode[] {
    checkCount('inputs', withoutAbsent(node.inputs).length, inputs);
    checkCount('outputs', withoutAbsent(node.outputs).length, outputs);
    const expansion = new Expansion(node, this.#additions);
    expand({ inputs: node.inputs, outputs: node.outputs, attributes: completeAttributes(node, attributes) }, expansion);
    return expansion.finish();
  }

  /** The nodes that replace an old operator may have old forms themselves. */
  #upgrade(node: FileNode): readonly FileNode[] {
    const op = ops[opNamed(node.op) ?? ''] as Op;
    const moved = this.#moveAttributes(node, op);
    const nodes = op.upgrade?.(moved, this.#opset, this.#additions) ?? [moved];
    return nodes.flatMap((made) => (made.op === node.op ? [made] : this.#upgrade(made)));
  }

  /** Turns attributes of older opsets into inputs. */
  #moveAttributes(node: FileNode, { moved = [] }: Op): FileNode {
    const older = moved.filter(({ opset }) => this.#opset < opset);
    if (older.length === 0) return { ...node, inputs: withoutAbsent(node.inputs) };
    const attributes = new Map(node.attributes);
    const inputs = [...node.inputs];
    for (const { attribute, input } of older) {
      const value = attributes.get(attribute);
      attributes.delete(attribute);
      while (inputs.length < input) inputs.push('');
      inputs[input] = value === undefined ? '' : this.#additions.tensor(asTensor(attribute, value));
    }
    return { ...node, inputs: withoutAbsent(inputs), attributes };
  }

  #finish(node: FileNode): GraphNode {
    const op = opNamed(node.op) as string;
    const { inputs: inputRange, outputs: outputRange = [1, 1], attributes } = ops[op] as Op;
    const outputs = withoutAbsent(node.outputs);
    checkCount('inputs', node.inputs.length, inputRange);
    checkCount('outputs', outputs.length, outputRange);
    return { name: node.name, op, inputs: node.inputs, outputs, attributes: completeAttributes(node, attributes) };
  }
}

/** Names without the last ones that are absent. */
function withoutAbsent(names: readonly string[]): readonly string[] {
  let count = names.length;
  while (names[count - 1] === '') count--;
  return count === names.length ? names : names.slice(0, count);
}

/** Attributes of the first opsets that do not change the result of inference. */
const obsolete = ['consumed_inputs', 'is_test'];

/** Attributes with these names were floats. */
const floats = ['min', 'max', 'value', 'scales', 'ratio'];

function asTensor(name: string, value: AttributeValue): GraphTensor {
  const type = floats.includes(name) ? 'float32' : 'int64';
  if (typeof value === 'number') return tensorOf(type, [], [value]);
  if (Array.isArray(value) && value.every((entry) => typeof entry === 'number'))
    return tensorOf(type, [value.length], value);
  throw new Error(`attribute ${name} that is not a number`);
}

function checkCount(what: string, count: number, [least, most]: readonly [number, number]): void {
  if (count >= least && count <= most) return;
  throw new Error(`expected ${least === most ? least : `${least} to ${most}`} ${what}, received ${count}`);
}
