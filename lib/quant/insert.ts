import type { DataType, Graph, GraphNode, GraphTensor, ValueType } from '../graph/graph';
import { nodeOf } from '../graph/rewriter';
import { tensorOf } from '../graph/tensors';
import type { QuantizationParameters } from '../model/quantized-layers';
import { biasScale } from '../model/quantized-layers';
import type { IntegerPlan } from './plan';
import { roundHalfEven } from './ranges';
import { floatsOf } from './roles';
import type { WrittenWeights } from './weights';

/** The plan and the parameters that a graph is rounded with. */
export interface Rounding {
  readonly plan: IntegerPlan;
  /** Parameters of values that become bytes; the values of a group share one object. */
  readonly parameters: ReadonlyMap<string, QuantizationParameters>;
  readonly weights: ReadonlyMap<GraphNode, WrittenWeights>;
}

/** A graph in QDQ form. */
export interface RoundedGraph {
  readonly graph: Graph;
  /** The name in this graph of each value of the float graph: of the rounded value if there is one. */
  readonly names: ReadonlyMap<string, string>;
}

/**
 * Inserts QuantizeLinear and DequantizeLinear after every value that becomes bytes, for all its readers, and replaces weights by
 * bytes with a DequantizeLinear.
 */
export function insertRounding(rounding: Rounding): RoundedGraph {
  const writer = new RoundingWriter(rounding);
  const { graph } = rounding.plan.wiring;
  for (const { name } of graph.inputs) writer.round(name, name);
  for (const node of graph.nodes) writer.add(node);
  return writer.finish();
}

class RoundingWriter {
  readonly #rounding: Rounding;
  readonly #graph: Graph;
  readonly #nodes: GraphNode[] = [];
  readonly #tensors: Map<string, GraphTensor>;
  readonly #values: Map<string, ValueType>;
  readonly #names = new Map<string, string>();
  readonly #written = new Map<QuantizationParameters, readonly [scale: string, zeroPoint: string]>();

  constructor(rounding: Rounding) {
    this.#rounding = rounding;
    this.#graph = rounding.plan.wiring.graph;
    this.#tensors = new Map(this.#graph.tensors);
    this.#values = new Map(this.#graph.values);
  }

  add(node: GraphNode): void {
    const { plan, weights } = this.#rounding;
    const integers = weights.get(node);
    let inputs = node.inputs.map((name) => this.#names.get(name) ?? name);
    if (integers) inputs = [inputs[0] as string, ...this.#weights(node, integers)];
    else if (node.op === 'concat' && plan.nodes.has(node)) {
      inputs = inputs.map((name, i) => (this.#tensors.has(name) ? this.#constant(node, i) : name));
    }
    // An output of the graph is the rounded value, as its readers see it.
    const outputs = node.outputs.map((name) => (this.#isOutput(name) ? this.#fresh(`${name}/exact`, name) : name));
    this.#nodes.push({ ...node, inputs, outputs });
    node.outputs.forEach((name, i) => {
      this.round(name, outputs[i] as string);
    });
    this.#roundInFront(node);
  }

  /** Quantises and dequantises a value that becomes bytes. */
  round(name: string, exact: string): void {
    const parameters = this.#rounding.parameters.get(name);
    if (!parameters) return;
    const isOutput = exact !== name;
    const rounded = this.#pair(exact, parameters, isOutput ? name : undefined);
    if (!isOutput) this.#names.set(name, rounded);
  }

  finish(): RoundedGraph {
    const graph = { ...this.#graph, nodes: this.#nodes, tensors: this.#tensors, values: this.#values };
    return { graph, names: this.#names };
  }

  /**
   * Also rounds before a rectifier whose zero is not the lowest byte, which changes no result. Other runtimes remove the rectifier
   * only if zero is the lowest byte, and would otherwise keep the convolution in float.
   */
  #roundInFront(node: GraphNode): void {
    const { wiring, nodes } = this.#rounding.plan;
    const stored = wiring.stored(node);
    const [output = ''] = node.outputs;
    const parameters = this.#rounding.parameters.get(stored);
    if (!nodes.has(node) || stored === output || !parameters || parameters.zeroPoint === 0) return;
    this.#names.set(output, this.#pair(output, parameters));
  }

  #isOutput(name: string): boolean {
    return this.#rounding.parameters.has(name) && this.#graph.outputs.includes(name);
  }

  #pair(from: string, parameters: QuantizationParameters, to?: string): string {
    const named = this.#parameters(from, parameters);
    const type = this.#values.get(from) as ValueType;
    const bytes = this.#node(`${from}/quantized`, 'quantizeLinear', [from, ...named], { ...type, type: 'uint8' });
    return this.#node(`${from}/dequantized`, 'dequantizeLinear', [bytes, ...named], type, { to });
  }

  #parameters(from: string, parameters: QuantizationParameters): readonly [string, string] {
    const known = this.#written.get(parameters);
    if (known) return known;
    const { scale, zeroPoint } = parameters;
    const named = [
      this.#tensor(`${from}/scale`, 'float32', [], [scale]),
      this.#tensor(`${from}/zero_point`, 'uint8', [], [zeroPoint]),
    ] as const;
    this.#written.set(parameters, named);
    return named;
  }

  #weights(node: GraphNode, { bytes, dims, weightScale, bias, axis }: WrittenWeights): string[] {
    const input = this.#rounding.parameters.get(node.inputs[0] as string) as QuantizationParameters;
    const scales = Float32Array.from(weightScale, (_, channel) => biasScale(input, weightScale, channel));
    const isUniform = weightScale.every((scale) => scale === weightScale[0]) && weightScale.length > 1;
    const count = isUniform ? 1 : weightScale.length;
    const name = (what: string): string => `${node.name}/${what}`;
    return [
      this.#dequantized(name('weight'), { type: 'int8', dims, data: bytes }, weightScale.subarray(0, count), axis),
      this.#dequantized(name('bias'), { type: 'int32', dims: [bias.length], data: bias }, scales.subarray(0, count), 0),
    ];
  }

  /** Adds integers with a scale for each position of an axis, or one for all, and dequantises them. */
  #dequantized(name: string, tensor: GraphTensor, scales: Float32Array, axis: number): string {
    const dims = scales.length === 1 && tensor.dims[axis] !== 1 ? [] : [scales.length];
    const inputs = [
      this.#add(name, tensor),
      this.#tensor(`${name}_scale`, 'float32', dims, scales),
      this.#tensor(
        `${name}_zero_point`,
        tensor.type,
        dims,
        scales.map(() => 0),
      ),
    ];
    const type = { type: 'float32', dims: tensor.dims } as const;
    return this.#node(`${name}/dequantized`, 'dequantizeLinear', inputs, type, { attributes: { axis } });
  }

  /** A constant operand of a concatenation, in the scale of the output. */
  #constant(node: GraphNode, index: number): string {
    const tensor = this.#tensors.get(node.inputs[index] as string) as GraphTensor;
    const parameters = this.#rounding.parameters.get(node.outputs[0] as string) as QuantizationParameters;
    const { scale, zeroPoint } = parameters;
    const bytes = Array.from(floatsOf(tensor) ?? [], (value) =>
      Math.min(255, Math.max(0, roundHalfEven(value / scale) + zeroPoint)),
    );
    const name = this.#tensor(`${node.name}/constant`, 'uint8', tensor.dims, bytes);
    const inputs = [name, ...this.#parameters(name, parameters)];
    return this.#node(`${name}/dequantized`, 'dequantizeLinear', inputs, { type: 'float32', dims: tensor.dims });
  }

  #node(
    hint: string,
    op: string,
    inputs: readonly string[],
    type: ValueType,
    { to, attributes = {} }: { to?: string | undefined; attributes?: GraphNode['attributes'] } = {},
  ): string {
    const name = this.#freeName(hint);
    this.#values.set(name, type);
    this.#nodes.push(nodeOf({ name, outputs: [to ?? name] }, op, inputs, attributes));
    return to ?? name;
  }

  #tensor(hint: string, type: DataType, dims: readonly number[], values: ArrayLike<number>): string {
    return this.#add(hint, tensorOf(type, dims, values));
  }

  #add(hint: string, tensor: GraphTensor): string {
    const name = this.#freeName(hint);
    this.#tensors.set(name, tensor);
    this.#values.set(name, { type: tensor.type, dims: tensor.dims });
    return name;
  }

  #fresh(hint: string, like: string): string {
    const name = this.#freeName(hint);
    this.#values.set(name, this.#values.get(like) as ValueType);
    return name;
  }

  #freeName(hint: string): string {
    let name = hint;
    for (let i = 1; this.#values.has(name); i++) name = `${hint}_${i}`;
    return name;
  }
}
