import type { GraphNode, GraphTensor } from '../graph';
import { tensorOf } from '../tensors';

/** Where an operator writes itself in terms of others: new nodes are put before its own. */
export interface Builder {
  compute(before: GraphNode, op: string, inputs: readonly string[], attributes?: GraphNode['attributes']): string;
  addTensor(hint: string, tensor: GraphTensor): string;
}

/** Shorthand for the nodes that take the place of one. */
export class Writer {
  readonly #node: GraphNode;
  readonly #builder: Builder;

  constructor(node: GraphNode, builder: Builder) {
    this.#node = node;
    this.#builder = builder;
  }

  /** A new node; its result. */
  add(op: string, inputs: readonly string[], attributes: GraphNode['attributes'] = {}): string {
    return this.#builder.compute(this.#node, op, inputs, attributes);
  }

  /** A constant of one number. */
  number(value: number, type: GraphTensor['type'] = 'float32'): string {
    return this.tensor(tensorOf(type, [], [value]));
  }

  tensor(tensor: GraphTensor): string {
    return this.#builder.addTensor(`${this.#node.name}/constant`, tensor);
  }

  /** The node that makes the result. */
  last(op: string, inputs: readonly string[], attributes: GraphNode['attributes'] = {}): GraphNode {
    return { ...this.#node, op, inputs, outputs: this.#node.outputs.slice(0, 1), attributes };
  }
}
