import type { AttributeValue, Graph, GraphNode, GraphTensor, ValueType } from './graph';
import { opOf, ops } from './ops';
import type { OpNode } from './ops/op';
import { nodeView } from './specialize';

/**
 * A graph that a pass is changing, with types and dims of all values. Nodes stay in topological order. The names of the graph's
 * outputs stay.
 */
export class Rewriter {
  readonly #graph: Graph;
  readonly #outputs: ReadonlySet<string>;
  /** Built at first use, like the copies of maps when something is added: most passes find nothing to do. */
  #links: Links | undefined;
  #tensors: ReadonlyMap<string, GraphTensor>;
  #values: ReadonlyMap<string, ValueType<number>>;
  #own: { readonly tensors: Map<string, GraphTensor>; readonly values: Map<string, ValueType<number>> } | undefined;
  /** The last number used in a new name, by hint. */
  readonly #counts = new Map<string, number>();
  #isChanged = false;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#outputs = new Set(graph.outputs);
    this.#tensors = graph.tensors;
    this.#values = graph.values as ReadonlyMap<string, ValueType<number>>;
  }

  /** Iterates the nodes with one of these operators, or all, in order. Skips those that have been removed meanwhile, and new ones. */
  *nodes(...ops: readonly string[]): Generator<GraphNode> {
    const slots = this.#links?.slots ?? this.#graph.nodes;
    const wanted = slots.filter((node) => node !== undefined && (ops.length === 0 || ops.includes(node.op)));
    for (const node of wanted as readonly GraphNode[]) if (this.#links?.places.has(node) ?? true) yield node;
  }

  /** The node that makes a value; nothing for inputs and constants. */
  maker(name: string | undefined): GraphNode | undefined {
    return name === undefined ? undefined : this.#linked.makers.get(name);
  }

  /** Same as {@link maker}, if only one node reads the value. */
  soleMaker(name: string | undefined): GraphNode | undefined {
    const maker = this.maker(name);
    return maker && maker.outputs.length === 1 && this.isReadOnce(name as string) ? maker : undefined;
  }

  readers(name: string): readonly GraphNode[] {
    return [...(this.#linked.readers.get(name) ?? [])];
  }

  isReadOnce(name: string): boolean {
    const [reader, ...others] = this.readers(name);
    const times = reader?.inputs.filter((input) => input === name).length;
    return others.length === 0 && times === 1 && !this.#outputs.has(name);
  }

  /** Whether a node reads the value, or it is an output of the graph. */
  isRead(name: string): boolean {
    return this.#outputs.has(name) || (this.#linked.readers.get(name)?.size ?? 0) > 0;
  }

  isOutput(name: string): boolean {
    return this.#outputs.has(name);
  }

  tensor(name: string | undefined): GraphTensor | undefined {
    return name === undefined ? undefined : this.#tensors.get(name);
  }

  dims(name: string | undefined): readonly number[] {
    return this.#values.get(name as string)?.dims ?? [];
  }

  value(name: string): ValueType<number> {
    return this.#values.get(name) as ValueType<number>;
  }

  view(node: GraphNode): OpNode {
    return nodeView(node, this.#values, this.#tensors);
  }

  /** Adds a constant; returns its name. */
  addTensor(hint: string, tensor: GraphTensor): string {
    const name = this.freeName(hint);
    const { tensors, values } = this.#change();
    tensors.set(name, tensor);
    values.set(name, { type: tensor.type, dims: tensor.dims });
    return name;
  }

  freeName(hint: string): string {
    // Continues from the last number: many nodes may have the same name.
    let count = this.#counts.get(hint) ?? 0;
    let name = count === 0 ? hint : `${hint}_${count}`;
    while (this.#values.has(name)) name = `${hint}_${++count}`;
    this.#counts.set(hint, count);
    return name;
  }

  /** Inserts a node with a new output before another one; returns the name of the output. */
  insert(before: GraphNode, hint: string, node: Omit<GraphNode, 'name' | 'outputs'>, type: ValueType<number>): string {
    const name = this.freeName(hint);
    const made = { ...node, name, outputs: [name] };
    const links = this.#linked;
    const place = links.places.get(before) as number;
    links.before.set(place, [...(links.before.get(place) ?? []), made]);
    this.#change().values.set(name, type);
    links.enter(made, place);
    return name;
  }

  /** Same as {@link insert}; the operator infers the type and dims of the output. */
  compute(before: GraphNode, op: string, inputs: readonly string[], attributes: GraphNode['attributes'] = {}): string {
    const node = nodeOf({ name: '', outputs: [''] }, op, inputs, attributes);
    const view = this.view(node);
    const { infer, evaluate } = opOf(node);
    const [type] = infer(view) as readonly [ValueType<number>];
    const isConstant = evaluate && view.inputs.every((input) => input === undefined || input.tensor);
    if (isConstant) return this.addTensor(`${before.name}/${op}`, evaluate(view)[0] as GraphTensor);
    return this.insert(before, `${before.name}/${op}`, node, type);
  }

  /** Replaces a node by one with the same outputs. */
  replace(old: GraphNode, node: GraphNode): void {
    const links = this.#linked;
    const place = links.places.get(old) as number;
    const others = links.before.get(place);
    const at = others?.indexOf(old) ?? -1;
    this.#isChanged = true;
    links.leave(old);
    if (others && at >= 0) others[at] = node;
    else links.slots[place] = node;
    links.enter(node, place);
  }

  /** Removes a node whose outputs nothing reads any more. */
  remove(node: GraphNode): void {
    const links = this.#linked;
    const place = links.places.get(node) as number;
    const others = links.before.get(place) ?? [];
    this.#isChanged = true;
    links.leave(node);
    if (others.includes(node))
      links.before.set(
        place,
        others.filter((other) => other !== node),
      );
    else links.slots[place] = undefined;
  }

  /**
   * Removes a node that returns its first input; its readers read that input instead. The node stays if its output is an output of
   * the graph and its input cannot be renamed: an input of the graph, a constant or another output.
   */
  bypass(node: GraphNode): void {
    const [from, to] = [node.inputs[0] as string, node.outputs[0] as string];
    if (!this.#outputs.has(to)) {
      this.remove(node);
      for (const reader of this.readers(to)) this.replace(reader, renamed(reader, to, from));
      return;
    }
    const maker = this.maker(from);
    if (!maker || this.#outputs.has(from)) return;
    this.remove(node);
    for (const reader of this.readers(from)) this.replace(reader, renamed(reader, from, to));
    this.replace(maker, { ...maker, outputs: maker.outputs.map((name) => (name === from ? to : name)) });
  }

  /** Returns the changed graph; the original one if nothing has changed. */
  finish(): Graph {
    const nodes = this.#isChanged ? this.#links?.settle() : undefined;
    const graph = this.#isChanged
      ? { ...this.#graph, nodes: nodes ?? this.#graph.nodes, tensors: this.#tensors, values: this.#values }
      : this.#graph;
    if (this.#links) ready.set(graph.nodes, this.#links);
    return graph;
  }

  get #linked(): Links {
    this.#links ??= linksOf(this.#graph.nodes);
    return this.#links;
  }

  /** Copies of the maps, which may be changed. */
  #change() {
    this.#isChanged = true;
    this.#own ??= { tensors: new Map(this.#tensors), values: new Map(this.#values) };
    this.#tensors = this.#own.tensors;
    this.#values = this.#own.values;
    return this.#own;
  }
}

/** Those of graphs that a pass has made or left as they are: the next one continues with them. */
const ready = new WeakMap<readonly GraphNode[], Links>();

function linksOf(nodes: readonly GraphNode[]): Links {
  const links = ready.get(nodes) ?? new Links(nodes);
  ready.delete(nodes);
  return links;
}

/** Nodes by slot, by their outputs and by their inputs. */
class Links {
  slots: (GraphNode | undefined)[];
  /** New nodes to insert before the one in a slot. */
  readonly before = new Map<number, GraphNode[]>();
  readonly places = new Map<GraphNode, number>();
  readonly makers = new Map<string, GraphNode>();
  readonly readers = new Map<string, Set<GraphNode>>();

  constructor(nodes: readonly GraphNode[]) {
    this.slots = [...nodes];
    nodes.forEach((node, i) => {
      this.enter(node, i);
    });
  }

  enter(node: GraphNode, place: number): void {
    this.places.set(node, place);
    for (const name of node.outputs) this.makers.set(name, node);
    for (const name of node.inputs) {
      if (name === '') continue;
      const readers = this.readers.get(name);
      if (readers) readers.add(node);
      else this.readers.set(name, new Set([node]));
    }
  }

  leave(node: GraphNode): void {
    this.places.delete(node);
    for (const name of node.outputs) if (this.makers.get(name) === node) this.makers.delete(name);
    for (const name of node.inputs) this.readers.get(name)?.delete(node);
  }

  /** Gives every node a slot; returns the nodes in order. */
  settle(): readonly GraphNode[] {
    const nodes: GraphNode[] = [];
    this.slots.forEach((node, i) => {
      nodes.push(...(this.before.get(i) ?? []));
      if (node) nodes.push(node);
    });
    this.before.clear();
    this.slots = [...nodes];
    nodes.forEach((node, i) => {
      this.places.set(node, i);
    });
    return nodes;
  }
}

function renamed(node: GraphNode, from: string, to: string): GraphNode {
  return { ...node, inputs: node.inputs.map((name) => (name === from ? to : name)) };
}

/** Makes a node whose attributes are complete. */
export function nodeOf(
  like: Pick<GraphNode, 'name' | 'outputs'>,
  op: string,
  inputs: readonly string[],
  attributes: GraphNode['attributes'] = {},
): GraphNode {
  const table = ops[op]?.attributes ?? {};
  const complete: Record<string, AttributeValue | undefined> = {};
  for (const name of Object.keys(table)) complete[name] = table[name]?.fallback as AttributeValue | undefined;
  return { name: like.name, op, inputs, outputs: like.outputs, attributes: Object.assign(complete, attributes) };
}
