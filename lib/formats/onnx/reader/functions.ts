import { mismatch } from '../../../errors';
import { opNamed } from '../../../graph/ops';
import type { Additions } from '../../../graph/ops/op';
import { type AttributeFields, type FunctionFields, graph, type NodeFields } from '../schema';
import { decode, encode } from '../wire';
import { ownDomains } from './domains';

/** Largest number of nodes after inlining: functions that call each other twice could turn a small file into any number. */
const maxNodes = 2 ** 15;

/** So many bytes of a branch, which each call copies, count as a node. */
const bytesPerNode = 2 ** 9;

/** Largest depth of calls. */
const maxDepth = 32;

/**
 * Inlines the functions that a file defines: a call becomes the nodes of the function, with new names for its inner values. Some
 * exporters write a function for each module or operator.
 */
export class Functions {
  readonly #bodies: ReadonlyMap<string, FunctionFields>;
  readonly #additions: Additions;
  #left = maxNodes;

  constructor(functions: readonly FunctionFields[], additions: Additions) {
    this.#bodies = new Map(functions.map((body) => [keyOf(body.domain, body.name), body]));
    this.#additions = additions;
  }

  /**
   * Iterates the nodes that replace a call; the node itself if it does not call a function.
   *
   * @throws {QARepVGGError} ERR_LIMIT for functions that call themselves, and for too many nodes.
   */
  *inline(node: NodeFields, depth = 0): Generator<NodeFields> {
    const body = this.#bodyOf(node);
    if (!body) {
      yield node;
      return;
    }
    this.#left -= body.nodes.reduce((sum, { attributes }) => sum + 1 + branchBytes(attributes) / bytesPerNode, 0);
    if (depth === maxDepth || this.#left < 0) {
      const expected = `at most ${maxNodes} nodes in functions, ${maxDepth} deep`;
      throw mismatch('ERR_LIMIT', expected, `more in the function ${node.opType}`);
    }
    const prefix = node.name || node.outputs.find((output) => output !== '') || (node.opType as string);
    const names = this.#namesOf(body, node, prefix);
    for (const inner of body.nodes) {
      const name = this.#additions.name(`${prefix}/${inner.name || inner.opType}`);
      yield* this.inline(called({ ...inner, name }, node, body, names, prefix), depth + 1);
    }
  }

  /** The function that a node calls; undefined for operators of ONNX that this package knows. */
  #bodyOf({ opType = '', domain = '' }: NodeFields): FunctionFields | undefined {
    if (ownDomains.includes(domain) && opNamed(opType) !== undefined) return undefined;
    return this.#bodies.get(keyOf(domain, opType));
  }

  /** Maps names in the body to the caller's inputs and outputs, and to new names for the other values. */
  #namesOf(body: FunctionFields, node: NodeFields, prefix: string): ReadonlyMap<string, string> {
    const names = new Map([['', '']]);
    body.inputs.forEach((name, i) => {
      names.set(name, node.inputs[i] ?? '');
    });
    body.outputs.forEach((name, i) => {
      const output = node.outputs[i];
      if (output) names.set(name, output);
    });
    for (const name of body.nodes.flatMap(({ outputs }) => outputs)) {
      if (!names.has(name)) names.set(name, this.#additions.name(`${prefix}/${name}`));
    }
    return names;
  }
}

function branchBytes(attributes: readonly AttributeFields[]): number {
  return attributes.reduce((sum, { graph: branch }) => sum + (branch?.length ?? 0), 0);
}

function keyOf(domain = '', name = ''): string {
  return `${ownDomains.includes(domain) ? '' : domain}:${name}`;
}

/** A node of a function's body, with the names and attributes of a call. */
function called(
  inner: NodeFields,
  caller: NodeFields,
  body: FunctionFields,
  names: ReadonlyMap<string, string>,
  prefix: string,
): NodeFields {
  // If the body does not define a name, the reader reports it.
  const nameOf: Renaming = (name) => names.get(name) ?? `${prefix}/${name}`;
  return renamed(inner, nameOf, (attribute) => given(attribute, caller, body));
}

type Renaming = (name: string) => string;
type Filling = (attribute: AttributeFields) => AttributeFields[];

/** A node with other names of values and attributes. Those of its branches, which read values of the body, change, too. */
function renamed(node: NodeFields, nameOf: Renaming, fill: Filling): NodeFields {
  const attributes = node.attributes.flatMap(fill).map((attribute) => {
    if (!attribute.graph) return attribute;
    const branch = decode(graph, attribute.graph);
    const own = new Set([
      ...branch.initializers.map(({ name }) => name),
      ...branch.nodes.flatMap(({ outputs }) => outputs),
    ]);
    const inner: Renaming = (name) => (own.has(name) ? name : nameOf(name));
    const nodes = branch.nodes.map((each) => ({ ...renamed(each, inner, fill), outputs: each.outputs }));
    const outputs = branch.outputs.map((output) => ({ ...output, name: inner(output.name ?? '') }));
    return { ...attribute, graph: encode(graph, { ...branch, nodes, outputs }) };
  });
  return { ...node, inputs: node.inputs.map(nameOf), outputs: node.outputs.map(nameOf), attributes };
}

/** An attribute of a body's node. A reference to the caller's attribute becomes that attribute, its default, or nothing. */
function given(attribute: AttributeFields, caller: NodeFields, body: FunctionFields): AttributeFields[] {
  const { name, reference } = attribute;
  if (!reference) return [attribute];
  const isIt = (other: AttributeFields): boolean => other.name === reference;
  const found = caller.attributes.find(isIt) ?? body.defaults.find(isIt);
  return found ? [{ ...found, name }] : [];
}
