import type { Graph, GraphNode } from '../graph/graph';
import { dataInputs, dimsOf, isElementwise, isRectifier, type Role, roleOf } from './roles';

/**
 * The producer and the readers of each value. Functions of one number become tables of bytes, so their output depends on one value
 * before them: its root.
 */
export class Wiring {
  readonly graph: Graph;
  readonly roles = new Map<GraphNode, Role>();
  readonly #makers = new Map<string, GraphNode>();
  readonly #readers = new Map<string, GraphNode[]>();
  /** For outputs of functions, the value that they are functions of. */
  readonly #roots = new Map<string, string>();
  /** Rectifiers that the node before them applies when it stores. */
  readonly #stored = new Set<GraphNode>();

  /** @param isKept Whether a node must stay in float, and so cannot be part of another one. */
  constructor(graph: Graph, isKept: (node: GraphNode) => boolean) {
    this.graph = graph;
    for (const node of graph.nodes) {
      for (const name of node.outputs) this.#makers.set(name, node);
      for (const name of new Set(node.inputs)) {
        if (name !== '' && !graph.tensors.has(name)) this.#readers.set(name, [...this.readers(name), node]);
      }
    }
    for (const node of graph.nodes) this.#sort(node, isKept(node));
  }

  maker(name: string): GraphNode | undefined {
    return this.#makers.get(name);
  }

  readers(name: string): readonly GraphNode[] {
    return this.#readers.get(name) ?? [];
  }

  /** The value that a value is a function of; itself if it is not the output of a function. */
  rootOf(name: string): string {
    return this.#roots.get(name) ?? name;
  }

  /** Whether a node is a function of one number. */
  isFunction(node: GraphNode): boolean {
    return this.#roots.has(node.outputs[0] as string);
  }

  /** The node that stores a value, its rectifier included. */
  producer(name: string): GraphNode | undefined {
    const maker = this.maker(name);
    return maker && this.#stored.has(maker) ? this.producer(maker.inputs[0] as string) : maker;
  }

  /** The value that a node stores: after its rectifier, if it has one. */
  stored(node: GraphNode): string {
    const [name = ''] = node.outputs;
    const [reader] = this.readers(name);
    return reader && this.#stored.has(reader) ? this.stored(reader) : name;
  }

  /** Nodes that read a value or a function of it, except these functions themselves; each with the value that it reads. */
  *users(name: string): Generator<readonly [node: GraphNode, value: string]> {
    for (const node of this.readers(name)) {
      if (this.isFunction(node) && this.rootOf(node.outputs[0] as string) === this.rootOf(name)) {
        yield* this.users(node.outputs[0] as string);
      } else yield [node, name];
    }
  }

  #sort(node: GraphNode, isKept: boolean): void {
    const [input = ''] = node.inputs;
    const [output = ''] = node.outputs;
    const maker = this.maker(input);
    const role = roleOf(node, this.graph);
    if (isKept) {
      if (role) this.roles.set(node, role);
      return;
    }
    if (maker && isRectifier(node, this.graph) && this.#stores(maker) && this.#isReadOnce(input)) {
      this.#stored.add(node);
      return;
    }
    if (isElementwise(node, this.graph)) {
      const data = dataInputs(node, this.graph);
      const roots = new Set(data.map((name) => this.rootOf(name)));
      const [root] = roots;
      const isSame = root !== undefined && `${dimsOf(root, this.graph)}` === `${dimsOf(output, this.graph)}`;
      if (roots.size === 1 && isSame) {
        this.#roots.set(output, root);
        return;
      }
    }
    if (role) this.roles.set(node, role);
  }

  #stores(node: GraphNode): boolean {
    const role = this.roles.get(node);
    return role === 'compute' || role === 'binary';
  }

  #isReadOnce(name: string): boolean {
    return this.readers(name).length === 1 && !this.graph.outputs.includes(name);
  }
}
