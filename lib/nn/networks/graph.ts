import type { TrainedActivation } from '../../../binding';
import type { Attributes, Graph, GraphNode, GraphTensor } from '../../graph/graph';
import { bytesOf } from '../../graph/tensors';
import type { Definition } from '../core';
import { inputName, namedNode, operandDims, outputName, withNumbers } from '../graph';
import {
  checkDeployed,
  deploySteps,
  isLinear,
  opOfStep,
  outChannelsOf,
  prefixOf,
  type Step,
  type StepTensor,
  stateReader,
  type TensorReader,
} from './chain';

/**
 * Returns the graph of a module in deploy form as files have it, in operators of ONNX, for any number and size of images. Its
 * tensors have the names of the state dict and are views of the module's memory.
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
  checkDeployed(definition);
  const graph = withNumbers(definition.graph(), definition.store);
  return definition.flat ? flattened(graph) : graph;
}

/** Makes [n, c] of the output, [n, c, 1, 1]. @param layer The linear layer that makes it. */
export function flattened(graph: Graph, layer = graph.nodes.at(-1)?.name): Graph {
  const last = graph.nodes.at(-1) as GraphNode;
  const dims = ['N', graph.values.get(outputName)?.dims[1] as number];
  const shape = { type: 'int64' as const, dims: [2], data: BigInt64Array.of(-1n, BigInt(dims[1] as number)) };
  const reshape = namedNode(`${layer}.flat`, 'reshape', [last.name, `${layer}.dims`]);
  return {
    ...graph,
    nodes: [...graph.nodes.slice(0, -1), { ...last, outputs: [last.name] }, { ...reshape, outputs: [outputName] }],
    tensors: new Map([...graph.tensors, [`${layer}.dims`, shape]]),
    values: new Map([[outputName, { type: 'float32', dims }]]),
  };
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
    const names = this.#floats(step.tensors, read);
    if (step.kind === 'globalAverage') this.average();
    else if (step.kind === 'squeezeExcite') this.#squeezeExcite(step, names);
    else {
      this.flatten(step);
      this.product(step, names);
      this.activate(step);
    }
    return this.#nodes.slice(length).map(({ name }) => name);
  }

  /**
   * Same, as the engine computes it: a step is a node, and a linear layer is a convolution. The passes would make the same of
   * {@link add}, which takes several times as long.
   */
  addWhole(step: Step, read: TensorReader): void {
    const op = opOfStep(step);
    const tensors = step.tensors.map((tensor) => ({ ...tensor, dims: operandDims(op, tensor.dims) }));
    this.step(step.name, op, this.#floats(tensors, read), step.attributes, step.activation);
  }

  average(): void {
    this.step('GlobalAveragePool', 'globalAveragePool');
  }

  /** Reshapes [n, c, 1, 1] to [n, c] where a linear layer follows. */
  flatten(step: Step): void {
    if (isLinear(step)) this.step(`${prefixOfStep(step)}Flatten`, 'flatten');
  }

  /** Appends a convolution or linear layer without its activation. @param operands Weights, and biases if there are any. */
  product(step: Step, operands: readonly string[]): void {
    const prefix = prefixOfStep(step);
    if (isLinear(step)) this.step(`${prefix}Gemm`, 'gemm', operands, { transB: 1 });
    else this.step(`${prefix}Conv`, 'conv', operands, step.attributes);
  }

  /** Appends the activation of a step, if it has one. The node has the prefix of the step's last tensor. */
  activate(step: Step): void {
    if (step.activation === 'relu') this.step(`${prefixOf(step.tensors.at(-1)?.name ?? '')}Relu`, 'relu');
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
    attributes?: Attributes,
    activation?: TrainedActivation,
  ): void {
    this.#value = this.node(wanted, op, [this.#value, ...operands], attributes, activation);
  }

  /** Appends a node; returns the name of its output. */
  node(
    wanted: string,
    op: string,
    inputs: readonly string[],
    attributes?: Attributes,
    activation?: TrainedActivation,
  ): string {
    const name = this.#unique(wanted);
    this.#nodes.push(namedNode(name, op, inputs, attributes, activation));
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
    const dims = ['N', outChannelsOf(steps) ?? inChannels, ...(flat ? [] : ['H_out', 'W_out'])];
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

  #squeezeExcite(step: Step, tensors: readonly string[]): void {
    const [downWeight, downBias, upWeight, upBias] = tensors as [string, string, string, string];
    const [down, , up] = step.tensors.map(({ name }) => prefixOf(name)) as [string, string, string];
    const mean = this.node(`${down}GlobalAveragePool`, 'globalAveragePool', [this.#value]);
    const reduced = this.node(`${down}Conv`, 'conv', [mean, downWeight, downBias]);
    const active = this.node(`${down}Relu`, 'relu', [reduced]);
    const expanded = this.node(`${up}Conv`, 'conv', [active, upWeight, upBias]);
    const gate = this.node(`${up}Sigmoid`, 'sigmoid', [expanded]);
    this.step(`${up}Mul`, 'mul', [gate]);
    this.activate(step);
  }

  #unique(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.#names.has(name); i++) name = `${wanted}_${i}`;
    this.#names.add(name);
    return name;
  }
}

/** What the names of a step's nodes begin with. */
function prefixOfStep({ tensors: [weight] }: Step): string {
  return prefixOf(weight?.name ?? '');
}

function isSame(a: GraphTensor, b: GraphTensor): boolean {
  return a.type === b.type && `${a.dims}` === `${b.dims}` && Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
}
