import type { Graph, GraphNode, GraphTensor, ValueType } from './graph';
import { movedInputs, movers } from './movers';
import { tensorOf } from './tensors';

/** Operators that move integers, all or some of them. */
const moves: ReadonlySet<string> = new Set([...movers, 'maxPool', 'dropout']);

type Constants = ReadonlyMap<string, GraphTensor>;

/**
 * Makes signed integers between QuantizeLinear and DequantizeLinear unsigned: raises them and their zero points by 128, so that
 * they represent the same numbers. Outputs of the graph, and integers that another operator reads, stay signed.
 */
export function unsignedForm(graph: Graph): Graph {
  const constants = constantsOf(graph);
  const signed = signedValues(graph, constants);
  if (signed.size === 0) return graph;
  const raised = new RaisedZeroPoints(graph, constants);
  const nodes = graph.nodes.map((node): GraphNode => {
    const value = integersOf(node);
    if (value === undefined || !signed.has(value)) return node;
    const [x = '', scale = '', zero = ''] = node.inputs;
    return { ...node, inputs: [x, scale, raised.of(zero)] };
  });
  const values = [...graph.values].map(([name, type]): [string, ValueType] => [
    name,
    signed.has(name) ? { ...type, type: 'uint8' } : type,
  ]);
  return { ...graph, nodes, tensors: raised.tensors(nodes), values: new Map(values) };
}

function constantsOf({ nodes, tensors }: Graph): Constants {
  const made = nodes.flatMap(({ op, outputs, attributes }) =>
    op === 'constant' && attributes.value ? [[outputs[0] as string, attributes.value as GraphTensor] as const] : [],
  );
  return new Map([...tensors, ...made]);
}

/** Name of the integers that a conversion makes or reads. */
function integersOf({ op, inputs, outputs }: GraphNode): string | undefined {
  if (op === 'quantizeLinear') return outputs[0];
  return op === 'dequantizeLinear' ? inputs[0] : undefined;
}

/** Names of signed integers that can become unsigned. */
function signedValues(graph: Graph, constants: Constants): Set<string> {
  const isSigned = (zero: string | undefined): boolean => constants.get(zero ?? '')?.type === 'int8';
  const signed = new Set<string>();
  for (const node of graph.nodes) {
    if (node.op === 'quantizeLinear' && isSigned(node.inputs[2])) signed.add(node.outputs[0] as string);
    else if (moves.has(node.op) && movedInputs(node).every((name) => signed.has(name)))
      for (const name of node.outputs) signed.add(name);
  }
  // If integers must stay signed, so must those that they are moved from, and those that are moved from them.
  for (let isSettled = false; !isSettled; ) {
    isSettled = true;
    const drop = (names: readonly string[]): void => {
      for (const name of names) if (signed.delete(name)) isSettled = false;
    };
    drop(graph.outputs);
    for (const node of graph.nodes) {
      const all = [...movedInputs(node), ...node.outputs];
      if (node.op === 'dequantizeLinear') {
        const [x = '', , zero] = node.inputs;
        if (zero && !isSigned(zero)) drop([x]);
      } else if (!moves.has(node.op)) drop(node.inputs);
      else if (!all.every((name) => signed.has(name))) drop(all);
    }
  }
  return signed;
}

/** Zero points raised by 128. */
class RaisedZeroPoints {
  readonly #graph: Graph;
  readonly #constants: Constants;
  readonly #names = new Map<string, string>();
  readonly #made = new Map<string, GraphTensor>();

  constructor(graph: Graph, constants: Constants) {
    this.#graph = graph;
    this.#constants = constants;
  }

  /** @param name Empty for an absent zero point, which is 0. */
  of(name: string): string {
    const known = this.#names.get(name);
    if (known) return known;
    const { dims, data } = this.#constants.get(name) ?? { dims: [], data: new Int8Array(1) };
    const free = this.#free(`${name || 'zero_point'}/unsigned`);
    const values = Array.from(data as Int8Array, (value) => value + 128);
    this.#made.set(free, tensorOf('uint8', dims, values));
    this.#names.set(name, free);
    return free;
  }

  /** The tensors of the graph plus the new ones, without those that nothing reads any more. */
  tensors(nodes: readonly GraphNode[]): Map<string, GraphTensor> {
    const read = new Set([...nodes.flatMap(({ inputs }) => inputs), ...this.#graph.outputs]);
    const old = [...this.#graph.tensors].filter(([name]) => !this.#names.has(name) || read.has(name));
    return new Map([...old, ...this.#made]);
  }

  #free(hint: string): string {
    const isTaken = (name: string): boolean => this.#constants.has(name) || this.#graph.values.has(name);
    let name = hint;
    for (let i = 1; isTaken(name); i++) name = `${hint}_${i}`;
    return name;
  }
}
