import type { Graph, GraphNode, GraphTensor } from '../../graph/graph';
import { nodeOf } from '../../graph/rewriter';
import { bytesOf } from '../../graph/tensors';
import type { Definition } from '../core';
import { type ConvStep, chainOf, isLinear, type SqueezeExciteStep, type Step, stepTensors } from './chain';

/** Names of the input and the output of every network of this package. */
export const inputName = 'input';
export const outputName = 'logits';

/**
 * The graph of a module in deploy form, for images of any number and size. Tensors have the names of the state dict, and are
 * views of the module's numbers.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a module that is not in deploy form.
 */
export function moduleGraph({ ops, store, inChannels, flat = false }: Definition, where: string): Graph {
  const chain = new ChainGraph();
  const steps = chainOf(ops, store.slots, where);
  for (const step of steps) {
    chain.add(
      step,
      stepTensors(step).map(([name]) => (store.has(name) ? store.view(name) : undefined)),
    );
  }
  return chain.finish(steps, inChannels, flat);
}

/**
 * The graph of a chain of steps in the making. A node has one output, of the same name. A name that is taken gets a number: several
 * modules that were quantised together may have tensors of one name.
 */
export class ChainGraph {
  readonly #nodes: GraphNode[] = [];
  readonly #tensors = new Map<string, GraphTensor>();
  readonly #names = new Set<string>();
  /** Names of tensors, by the name that they were to have. */
  readonly #namesakes = new Map<string, string[]>();
  /** What the step before puts out. */
  #value = inputName;

  /** A step in float; the names of its nodes. @param tensors In the order of {@link stepTensors}. */
  add(step: Step, tensors: readonly (Float32Array | undefined)[]): string[] {
    const { length } = this.#nodes;
    const names = stepTensors(step).flatMap(([name, dims], i) => {
      const data = tensors[i];
      return data ? [this.tensor(name, { type: 'float32', dims, data })] : [];
    });
    if (step.kind === 'globalAverage') this.average();
    else if (step.kind === 'squeezeExcite') this.#squeezeExcite(step, names);
    else {
      this.flatten(step);
      this.product(step, names);
      this.relu(step, step.weightName);
    }
    return this.#nodes.slice(length).map(({ name }) => name);
  }

  average(): void {
    this.step('GlobalAveragePool', 'globalAveragePool');
  }

  /** Images of one pixel as a list of their channels, where a linear layer reads them. */
  flatten(step: ConvStep): void {
    if (isLinear(step)) this.step(`${prefixOf(step.weightName)}Flatten`, 'flatten');
  }

  /** A convolution or linear layer with these weights and perhaps biases, without its ReLU. */
  product(step: ConvStep, operands: readonly string[]): void {
    const prefix = prefixOf(step.weightName);
    if (isLinear(step)) this.step(`${prefix}Gemm`, 'gemm', operands, { transB: 1 });
    else this.step(`${prefix}Conv`, 'conv', operands, windowAttributes(step));
  }

  /** @param tensor Whose prefix the node shall have. */
  relu({ relu }: { readonly relu: boolean }, tensor: string): void {
    if (relu) this.step(`${prefixOf(tensor)}Relu`, 'relu');
  }

  /** Rounds what the step before puts out, and makes floats of it again. @param parameters Scale and zero point. */
  round(name: string, parameters: readonly string[]): void {
    this.step(`${name}QuantizeLinear`, 'quantizeLinear', parameters);
    this.step(`${name}DequantizeLinear`, 'dequantizeLinear', parameters);
  }

  /** Appends a node that reads what the step before puts out, and whose result the next step reads. */
  step(
    wanted: string,
    op: string,
    operands: readonly string[] = [],
    attributes?: GraphNode['attributes'],
    relu = false,
  ): void {
    this.#value = this.node(wanted, op, [this.#value, ...operands], attributes, relu);
  }

  /** Appends a node; the name of its result. */
  node(
    wanted: string,
    op: string,
    inputs: readonly string[],
    attributes: GraphNode['attributes'] = {},
    relu = false,
  ): string {
    const name = this.#unique(wanted);
    const node = nodeOf({ name, outputs: [name] }, op, inputs, attributes);
    this.#nodes.push(relu ? { ...node, activation: { kind: 'relu' } } : node);
    return name;
  }

  /** Adds a tensor, unless it is there already; its name. */
  tensor(wanted: string, tensor: GraphTensor): string {
    const namesakes = this.#namesakes.get(wanted) ?? [];
    const same = namesakes.find((one) => isSame(this.#tensors.get(one) as GraphTensor, tensor));
    if (same !== undefined) return same;
    const name = this.#unique(wanted);
    this.#namesakes.set(wanted, [...namesakes, name]);
    this.#tensors.set(name, tensor);
    return name;
  }

  /** @param steps All of them. */
  finish(steps: readonly Step[], inChannels: number, flat: boolean): Graph {
    const last = this.#nodes.pop() as GraphNode;
    const channels = steps.findLast((step) => step.kind === 'conv')?.outChannels ?? inChannels;
    const dims = ['N', channels, ...(flat ? [] : ['H_out', 'W_out'])];
    return {
      inputs: [{ name: inputName, type: 'float32', dims: ['N', inChannels, 'H', 'W'] }],
      outputs: [outputName],
      nodes: [...this.#nodes, { ...last, outputs: [outputName] }],
      tensors: this.#tensors,
      values: new Map([[outputName, { type: 'float32', dims }]]),
    };
  }

  #squeezeExcite({ names, relu }: SqueezeExciteStep, tensors: readonly string[]): void {
    const [downWeight, downBias, upWeight, upBias] = tensors as [string, string, string, string];
    const [down, up] = [prefixOf(names.downWeight), prefixOf(names.upWeight)];
    const input = this.#value;
    const mean = this.node(`${down}GlobalAveragePool`, 'globalAveragePool', [input]);
    const reduced = this.node(`${down}Conv`, 'conv', [mean, downWeight, downBias]);
    const active = this.node(`${down}Relu`, 'relu', [reduced]);
    const expanded = this.node(`${up}Conv`, 'conv', [active, upWeight, upBias]);
    const gate = this.node(`${up}Sigmoid`, 'sigmoid', [expanded]);
    this.step(`${up}Mul`, 'mul', [gate]);
    this.relu({ relu }, names.upWeight);
  }

  #unique(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.#names.has(name); i++) name = `${wanted}_${i}`;
    this.#names.add(name);
    return name;
  }
}

/** Attributes of a convolution. */
export function windowAttributes({ dilation, groups, kernel, padding, stride }: ConvStep): GraphNode['attributes'] {
  return {
    auto_pad: 'NOTSET',
    dilations: [dilation, dilation],
    group: groups,
    kernel_shape: [kernel, kernel],
    pads: [padding, padding, padding, padding],
    strides: [stride, stride],
  };
}

function isSame(a: GraphTensor, b: GraphTensor): boolean {
  return a.type === b.type && `${a.dims}` === `${b.dims}` && Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
}

/** "stage1.0.rbr_reparam." for "stage1.0.rbr_reparam.weight", nothing for "weight". */
function prefixOf(name: string): string {
  return name.slice(0, name.lastIndexOf('.') + 1);
}
