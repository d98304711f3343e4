import type { TrainedActivation } from '../../../binding';
import type { Graph, GraphNode, GraphTensor } from '../../graph/graph';
import { nodeOf } from '../../graph/rewriter';
import { bytesOf } from '../../graph/tensors';
import type { Definition } from '../core';
import {
  type ConvStep,
  deploySteps,
  isLinear,
  type SqueezeExciteStep,
  type Step,
  type StepTensor,
  stateReader,
  stepTensors,
  type TensorReader,
} from './chain';

/** Names of the input and of the output of every network of this package. */
export const inputName = 'input';
export const outputName = 'logits';

/**
 * Returns the graph of a module in deploy form, for any number and size of images. Its tensors have the names of the state
 * dict and are views of the module's memory.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a module that is not in deploy form.
 */
export function moduleGraph(definition: Definition): Graph {
  const { store, inChannels, flat = false } = definition;
  const chain = new ChainGraph();
  const steps = deploySteps(definition);
  for (const step of steps) chain.add(step, stateReader(store));
  return chain.finish(steps, inChannels, flat);
}

/** Same as {@link moduleGraph}, as the engine computes it. */
export function engineGraph(definition: Definition): Graph {
  const { store, inChannels, flat = false } = definition;
  const chain = new ChainGraph();
  const steps = deploySteps(definition);
  for (const step of steps) chain.addWhole(step, stateReader(store));
  const last = steps.at(-1);
  if (last && isLinear(last)) chain.flat(last);
  return chain.finish(steps, inChannels, flat);
}

/**
 * Builds the graph of a chain of steps. A node has one output, which has its name. A name that is taken gets a number, because
 * several modules that were quantised together may use the same names.
 */
export class ChainGraph {
  readonly #nodes: GraphNode[] = [];
  readonly #tensors = new Map<string, GraphTensor>();
  readonly #names = new Set<string>();
  /** The names that tensors got, by the name that was asked for. */
  readonly #namesakes = new Map<string, string[]>();
  /** Output of the step before. */
  #value = inputName;

  /** Appends a step in float; returns the names of its nodes. @param read Returns the numbers of a tensor, if it exists. */
  add(step: Step, read: TensorReader): string[] {
    const { length } = this.#nodes;
    const names = this.#floats(stepTensors(step), read);
    if (step.kind === 'globalAverage') this.average();
    else if (step.kind === 'squeezeExcite') this.#squeezeExcite(step, names);
    else {
      this.flatten(step);
      this.product(step, names);
      this.activate(step, step.weightName);
    }
    return this.#nodes.slice(length).map(({ name }) => name);
  }

  /**
   * Same, as the engine computes it: a step is a node, and a linear layer is a convolution. The passes would make the same of
   * {@link add}, which takes several times as long.
   */
  addWhole(step: Step, read: TensorReader): void {
    const tensors = stepTensors(step);
    if (step.kind === 'globalAverage') this.step(step.name, 'globalAveragePool');
    else if (step.kind === 'conv') {
      const kernel = [step.outChannels, step.inChannels / step.groups, step.kernel, step.kernel];
      const whole = tensors.map((tensor) => (tensor.key === 'weight' ? { ...tensor, dims: kernel } : tensor));
      this.step(step.name, 'conv', this.#floats(whole, read), windowAttributes(step), step.activation);
    } else {
      const matrices = tensors.map((tensor) => ({ ...tensor, dims: tensor.dims.slice(0, 2) }));
      this.step(step.name, 'squeezeExcite', this.#floats(matrices, read), {}, step.activation);
    }
  }

  /** Makes [n, c] of [n, c, 1, 1] after a linear layer that is a convolution. */
  flat({ name, outChannels }: ConvStep): void {
    const data = BigInt64Array.of(-1n, BigInt(outChannels));
    this.step(`${name}.flat`, 'reshape', [this.tensor(`${name}.dims`, { type: 'int64', dims: [2], data })]);
  }

  average(): void {
    this.step('GlobalAveragePool', 'globalAveragePool');
  }

  /** Reshapes [n, c, 1, 1] to [n, c] where a linear layer follows. */
  flatten(step: ConvStep): void {
    if (isLinear(step)) this.step(`${prefixOf(step.weightName)}Flatten`, 'flatten');
  }

  /** Appends a convolution or linear layer without its activation. @param operands Weights, and biases if there are any. */
  product(step: ConvStep, operands: readonly string[]): void {
    const prefix = prefixOf(step.weightName);
    if (isLinear(step)) this.step(`${prefix}Gemm`, 'gemm', operands, { transB: 1 });
    else this.step(`${prefix}Conv`, 'conv', operands, windowAttributes(step));
  }

  /** Appends the activation of a step, if it has one. @param tensor The node is named after its prefix. */
  activate({ activation }: { readonly activation: TrainedActivation }, tensor: string): void {
    if (activation === 'relu') this.step(`${prefixOf(tensor)}Relu`, activation);
  }

  /** Quantises the output of the step before and dequantises it again. @param parameters Scale and zero point. */
  round(name: string, parameters: readonly string[]): void {
    this.step(`${name}QuantizeLinear`, 'quantizeLinear', parameters);
    this.step(`${name}DequantizeLinear`, 'dequantizeLinear', parameters);
  }

  /** Appends a node that reads the output of the step before and that the next step reads. */
  step(
    wanted: string,
    op: string,
    operands: readonly string[] = [],
    attributes?: GraphNode['attributes'],
    activation: TrainedActivation = 'none',
  ): void {
    this.#value = this.node(wanted, op, [this.#value, ...operands], attributes, activation);
  }

  /** Appends a node; returns the name of its output. */
  node(
    wanted: string,
    op: string,
    inputs: readonly string[],
    attributes: GraphNode['attributes'] = {},
    activation: TrainedActivation = 'none',
  ): string {
    const name = this.#unique(wanted);
    const node = nodeOf({ name, outputs: [name] }, op, inputs, attributes);
    this.#nodes.push(activation === 'none' ? node : { ...node, activation: { kind: activation } });
    return name;
  }

  /** Adds a tensor unless it is there already; returns its name. */
  tensor(wanted: string, tensor: GraphTensor): string {
    const namesakes = this.#namesakes.get(wanted) ?? [];
    const same = namesakes.find((one) => isSame(this.#tensors.get(one) as GraphTensor, tensor));
    if (same !== undefined) return same;
    const name = this.#unique(wanted);
    this.#namesakes.set(wanted, [...namesakes, name]);
    this.#tensors.set(name, tensor);
    return name;
  }

  /** Returns the finished graph. @param steps All steps of the chain. */
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

  /** Adds the tensors that exist; returns their names. */
  #floats(tensors: readonly StepTensor[], read: TensorReader): string[] {
    return tensors.flatMap((tensor) => {
      const { name, dims } = tensor;
      const data = read(tensor);
      return data ? [this.tensor(name, { type: 'float32', dims, data })] : [];
    });
  }

  #squeezeExcite({ names, activation }: SqueezeExciteStep, tensors: readonly string[]): void {
    const [downWeight, downBias, upWeight, upBias] = tensors as [string, string, string, string];
    const [down, up] = [prefixOf(names.downWeight), prefixOf(names.upWeight)];
    const input = this.#value;
    const mean = this.node(`${down}GlobalAveragePool`, 'globalAveragePool', [input]);
    const reduced = this.node(`${down}Conv`, 'conv', [mean, downWeight, downBias]);
    const active = this.node(`${down}Relu`, 'relu', [reduced]);
    const expanded = this.node(`${up}Conv`, 'conv', [active, upWeight, upBias]);
    const gate = this.node(`${up}Sigmoid`, 'sigmoid', [expanded]);
    this.step(`${up}Mul`, 'mul', [gate]);
    this.activate({ activation }, names.upWeight);
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
