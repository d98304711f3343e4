import type { ProgramNode, StateTensor } from '../../binding';
import type { Store } from './state/state';

/** The tensors of a store, as programs read them. A linear layer is a 1x1 convolution. */
export function stateTensors({ slots }: Store): StateTensor[] {
  return slots.map(({ offset, dims }) => ({ offset, dims: dims.length === 2 ? [...dims, 1, 1] : dims }));
}

/** Nodes in the making. Values are numbered as in a program: the input, the tensors of the store, the outputs of nodes. */
export class Nodes {
  readonly list: ProgramNode[] = [];
  readonly #tensors: ReadonlyMap<string, number>;

  constructor({ slots }: Store) {
    this.#tensors = new Map(slots.map(({ name }, i) => [name, i + 1]));
  }

  /** The output of the last node, or the input. */
  get last(): number {
    return this.list.length === 0 ? 0 : this.#tensors.size + this.list.length;
  }

  /** The number of a tensor. */
  tensor(name: string): number {
    return this.#tensors.get(name) as number;
  }

  /** Appends a node; returns its output. */
  push(op: string, name: string, inputs: readonly number[], attributes: ProgramNode['attributes']): number {
    this.list.push({ op, name, inputs, attributes });
    return this.last;
  }
}
