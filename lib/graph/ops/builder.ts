import type { GraphNode, GraphTensor } from '../graph';
import { tensorOf } from '../tensors';

/** Lets an operator express itself by others: inserts new nodes before its own. */
export interface Builder {
  compute(before: GraphNode, op: string, inputs: readonly string[], attributes?: GraphNode['attributes']): string;
  addTensor(hint: string, tensor: GraphTensor): string;
}

/** Shorthand for adding the nodes that replace one. */
export class Writer {
  readonly #node: GraphNode;
  readonly #builder: Builder;

  constructor(node: GraphNode, builder: Builder) {
    this.#node = node;
    this.#builder = builder;
  }

  /** Adds a node; returns the name of its output. */
  add(op: string, inputs: readonly string[], attributes: GraphNode['attributes'] = {}): string {
    return this.#builder.compute(this.#node, op, inputs, attributes);
  }

  /** Adds a constant of one number. */
  number(value: number, type: GraphTensor['type'] = 'float32'): string {
    return this.tensor(tensorOf(type, [], [value]));
  }

  /** Adds a list of integers: dims, axes, places. */
  integers(values: readonly number[]): string {
    return this.tensor(tensorOf('int64', [values.length], values));
  }

  /** Adds a reshape to these dims; returns the name of its output. */
  reshape(x: string, dims: readonly number[]): string {
    return this.add('reshape', [x, this.integers(dims)], { allowzero: 0 });
  }

  tensor(tensor: GraphTensor): string {
    return this.#builder.addTensor(`${this.#node.name}/constant`, tensor);
  }

  /** The node that makes the final output, with the name of the original one. */
  last(op: string, inputs: readonly string[], attributes: GraphNode['attributes'] = {}): GraphNode {
    return { ...this.#node, op, inputs, outputs: this.#node.outputs.slice(0, 1), attributes };
  }
}
