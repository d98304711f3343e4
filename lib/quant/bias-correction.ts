import { within } from '../errors';
import { checkFinite } from '../finite';
import type { Graph, GraphNode, GraphTensor, Value, ValueType } from '../graph/graph';
import { nodeOf } from '../graph/rewriter';
import { tensorOf } from '../graph/tensors';
import type { Tensor } from '../tensor';
import type { AssembledGraph, NodeIntegers } from './assemble';
import { Observer } from './observer';
import { dequantizeWeights } from './quantize-weights';
import { dimsOf } from './roles';
import type { FeedPass, PassOptions } from './statistics';
import { arranged } from './weights';

/**
 * Bias correction (Nagel et al., arXiv 1906.04721): subtracts from a node's bias what rounding adds to the mean of each channel. Values
 * that a rectifier makes zero in either graph do not count: their errors go no further, and images with a plain background have most of
 * them.
 *
 * The means are those of the images so far, so one pass is enough: corrections are rough for the first images, which the others outweigh.
 *
 * @param inTurn Nodes read the outputs of corrected nodes, and so make up for their errors. Otherwise each node reads the exact numbers of
 * the float graph, rounded once, and its bias fits whatever other nodes compute in.
 * @returns Biases by node.
 * @throws {QARepVGGError} the errors of `CalibrationReader.chunks`; ERR_NON_FINITE naming a node.
 */
export async function correctBiases(
  assembled: AssembledGraph,
  inTurn: boolean,
  { first, chunks }: FeedPass,
  options: PassOptions,
): Promise<Map<GraphNode, Float32Array>> {
  const { graph, twins } = new TwinWriter(assembled, inTurn).finish();
  let totals = new Map(
    twins.flatMap(({ sums, counts }) => [sums, counts].map((name) => [name, zeros(name, graph)] as const)),
  );
  const observer = new Observer(graph, [...totals.keys()], first.count, options);
  try {
    for await (const { feeds, count } of chunks) {
      const before = Object.fromEntries(Array.from(totals, ([name, total]) => [beforeName(name), total]));
      totals = new Map();
      await observer.show({ feeds: { ...feeds, ...before }, count }, (name, value) => totals.set(name, value));
      for (const { node, sums } of twins) {
        within(`output of ${assembled.plan.float.placeOf(node)}`, () => checkFinite((totals.get(sums) as Tensor).data));
      }
    }
  } finally {
    observer.dispose();
  }
  return new Map(
    twins.map(({ node, sums, counts }) => {
      const [sum, count] = [sums, counts].map((name) => (totals.get(name) as Tensor).data) as [
        Float32Array,
        Float32Array,
      ];
      const { bias } = (assembled.weights.get(node) as NodeIntegers).float;
      return [
        node,
        bias.map((value, channel) => value - (sum[channel] as number) / Math.max(1, count[channel] as number)),
      ];
    }),
  );
}

/** A node with weights in integers, and the names of its errors: for each channel, sums over the pixels so far, and how many count. */
interface Twin {
  readonly node: GraphNode;
  readonly sums: string;
  readonly counts: string;
}

function beforeName(total: string): string {
  return `${total}/before`;
}

function zeros(name: string, graph: Graph): Tensor {
  const dims = [...dimsOf(name, graph)];
  return { data: new Float32Array(dims.reduce((product, dim) => product * dim, 1)), dims };
}

/** Writes the float graph, in it a twin of every node that has weights in integers, and the mean of their difference. */
class TwinWriter {
  readonly #assembled: AssembledGraph;
  readonly #inTurn: boolean;
  readonly #graph: Graph;
  readonly #nodes: GraphNode[] = [];
  readonly #inputs: Value[];
  readonly #tensors: Map<string, GraphTensor>;
  readonly #values: Map<string, ValueType>;
  /** By value, the same value computed from rounded numbers. */
  readonly #others = new Map<string, string>();
  readonly #rounded = new Map<string, string>();
  readonly #twins: Twin[] = [];

  constructor(assembled: AssembledGraph, inTurn: boolean) {
    this.#assembled = assembled;
    this.#inTurn = inTurn;
    this.#graph = assembled.plan.wiring.graph;
    this.#inputs = [...this.#graph.inputs];
    this.#tensors = new Map(this.#graph.tensors);
    this.#values = new Map(this.#graph.values);
  }

  finish(): { readonly graph: Graph; readonly twins: readonly Twin[] } {
    const { weights } = this.#assembled;
    for (const node of this.#graph.nodes) {
      this.#nodes.push(node);
      if (weights.has(node)) this.#twin(node);
      else if (this.#inTurn) this.#copy(node);
    }
    const parts = { inputs: this.#inputs, nodes: this.#nodes, tensors: this.#tensors, values: this.#values };
    return { graph: { ...this.#graph, ...parts }, twins: this.#twins };
  }

  /** Copies a node in float, to read rounded numbers. */
  #copy(node: GraphNode): void {
    const inputs = node.inputs.map((name) => this.#read(name));
    if (inputs.every((name, i) => name === node.inputs[i])) return;
    const outputs = node.outputs.map((name) => this.#like(name, `${name}/twin`));
    this.#nodes.push({ ...node, name: `${node.name}/twin`, inputs, outputs });
    node.outputs.forEach((name, i) => {
      this.#others.set(name, outputs[i] as string);
    });
  }

  #twin(node: GraphNode): void {
    const { weights, plan } = this.#assembled;
    const [input = '', , bias = ''] = node.inputs;
    const [exact = ''] = node.outputs;
    const { integers } = weights.get(node) as NodeIntegers;
    const data = arranged(dequantizeWeights(integers), node, integers.dims);
    const weight = this.#tensor(`${exact}/twin/weight`, { type: 'float32', dims: integers.dims, data });
    const twin = this.#like(exact, `${exact}/twin`);
    const inputs = [this.#read(input), weight, ...(bias ? [bias] : [])];
    this.#nodes.push({ ...node, name: twin, inputs, outputs: [twin] });
    const limit = plan.wiring.stored(node) === exact ? Number.NEGATIVE_INFINITY : 0;
    const mean = this.#meanError(node, exact, twin, limit);
    if (this.#inTurn) this.#others.set(exact, this.#like(exact, this.#node(`${twin}/corrected`, 'sub', [twin, mean])));
  }

  /** The mean over all images so far, where both numbers are above the limit. */
  #meanError(node: GraphNode, exact: string, twin: string, limit: number): string {
    const dims = dimsOf(exact, this.#graph).map((dim, axis) => (axis === 1 ? dim : 1));
    const axes = dims.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
    const step = (
      ending: string,
      op: string,
      inputs: readonly string[],
      attributes?: GraphNode['attributes'],
    ): string => this.#node(`${twin}/${ending}`, op, inputs, attributes);
    const constant = (ending: string, type: 'float32' | 'int64', numbers: readonly number[]): string =>
      this.#tensor(`${twin}/${ending}`, tensorOf(type, type === 'int64' ? [numbers.length] : [], numbers));
    const lower = step('lower', 'min', [exact, twin]);
    const counts = step('counts', 'cast', [step('above', 'greater', [lower, constant('limit', 'float32', [limit])])], {
      to: 1,
    });
    const errors = step('errors', 'mul', [step('difference', 'sub', [twin, exact]), counts]);
    const along = constant('axes', 'int64', axes);
    const [sums, count] = [errors, counts].map((name) => {
      const total = `${name}/total`;
      this.#inputs.push({ name: beforeName(total), type: 'float32', dims });
      this.#values.set(total, { type: 'float32', dims });
      return this.#node(total, 'add', [step(`${name}/sum`, 'reduceSum', [name, along]), beforeName(total)]);
    }) as [string, string];
    this.#twins.push({ node, sums, counts: count });
    const atLeastOne = step('atLeastOne', 'max', [count, constant('one', 'float32', [1])]);
    return step('mean', 'div', [sums, atLeastOne]);
  }

  /** What twins read instead of a value. */
  #read(name: string): string {
    const other = this.#others.get(name) ?? name;
    const parameters = this.#assembled.choices.get(name)?.parameters;
    if (!parameters) return other;
    const known = this.#rounded.get(name);
    if (known !== undefined) return known;
    const { scale, zeroPoint } = parameters;
    const named = [
      this.#tensor(`${name}/twin/scale`, tensorOf('float32', [], [scale])),
      this.#tensor(`${name}/twin/zero_point`, tensorOf('uint8', [], [zeroPoint])),
    ];
    const bytes = this.#node(`${name}/twin/bytes`, 'quantizeLinear', [other, ...named]);
    const rounded = this.#node(`${name}/twin/rounded`, 'dequantizeLinear', [bytes, ...named]);
    this.#rounded.set(name, rounded);
    return rounded;
  }

  #node(name: string, op: string, inputs: readonly string[], attributes?: GraphNode['attributes']): string {
    this.#nodes.push(nodeOf({ name, outputs: [name] }, op, inputs, attributes));
    return name;
  }

  #tensor(name: string, tensor: GraphTensor): string {
    this.#tensors.set(name, tensor);
    return name;
  }

  #like(value: string, name: string): string {
    const type = this.#values.get(value);
    if (type) this.#values.set(name, type);
    return name;
  }
}
