import { quote } from '../../../errors';
import type { AttributeValue } from '../../../graph/graph';
import { type Additions, derived, type FileNode } from '../../../graph/ops/op';
import { tensorOf } from '../../../graph/tensors';

type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

/** Activations in fused operators, and the names of their parameters. */
const activations: Readonly<Record<string, readonly string[]>> = {
  Relu: [],
  Sigmoid: [],
  Tanh: [],
  LeakyRelu: ['alpha'],
  Clip: ['min', 'max'],
  HardSigmoid: ['alpha', 'beta'],
  Elu: ['alpha'],
  Selu: ['alpha', 'gamma'],
  Softplus: [],
  Softsign: [],
  ThresholdedRelu: ['alpha'],
};

/** What this package does not know of an operator; the message continues "with". */
export class UnsupportedForm extends Error {}

/** The nodes that replace one of a file, in the form of the newest opset. */
export class Expansion {
  readonly #node: FileNode;
  readonly #additions: Additions;
  readonly #nodes: FileNode[] = [];

  constructor(node: FileNode, additions: Additions) {
    this.#node = node;
    this.#additions = additions;
  }

  /** Adds a node with the attributes that are not undefined; returns its output, by default a new value. */
  add(op: string, inputs: readonly string[], attributes: Attributes = {}, output?: string): string {
    const given = Object.entries(attributes).filter(
      (entry): entry is [string, AttributeValue] => entry[1] !== undefined,
    );
    const made = derived(this.#node, op, op, inputs, this.#additions, Object.fromEntries(given));
    this.#nodes.push(output ? { ...made, outputs: [output] } : made);
    return output || (made.outputs[0] as string);
  }

  /** Adds a constant. */
  number(value: number): string {
    return this.#additions.tensor(tensorOf('float32', [], [value]));
  }

  integers(values: readonly number[]): string {
    return this.#additions.tensor(tensorOf('int64', [values.length], values));
  }

  /** Adds the activation with this name, if there is one. @throws {UnsupportedForm} */
  activate(
    x: string,
    name: string | undefined,
    parameterOf: (parameter: string, index: number) => number | undefined,
  ): void {
    if (!name) return;
    const parameters = Object.hasOwn(activations, name) ? activations[name] : undefined;
    if (!parameters) throw new UnsupportedForm(`activation ${quote(name)}`);
    const values = parameters.map(parameterOf);
    if (name === 'Clip') this.add(name, [x, ...values.map((value) => (value === undefined ? '' : this.number(value)))]);
    else this.add(name, [x], Object.fromEntries(parameters.map((parameter, i) => [parameter, values[i]])));
  }

  /** All nodes; the last one has the name of the original one, and makes its first output. */
  finish(): readonly FileNode[] {
    const { name, outputs } = this.#node;
    const last = this.#nodes.at(-1) as FileNode;
    return [...this.#nodes.slice(0, -1), { ...last, name, outputs: outputs.slice(0, 1) }];
  }
}
