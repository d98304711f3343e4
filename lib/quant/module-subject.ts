import { didYouMean } from '../did-you-mean';
import { describe, mismatch, within } from '../errors';
import { checkFinite } from '../finite';
import type { Graph, GraphNode } from '../graph/graph';
import { Model } from '../model/model';
import { type FloatLayer, floatLayer, type QuantizedLayer, readerOf } from '../model/quantized-layers';
import { type QuantizationRecipe, QuantizedModel, type QuantizedParts } from '../model/quantized-model';
import { coreOf } from '../nn/core';
import { outputName } from '../nn/graph';
import type { Module } from '../nn/module';
import { deploySteps, integerSteps, outChannelsOf, type StepTensor, stateReader } from '../nn/networks/chain';
import { ChainGraph } from '../nn/networks/graph';
import { NetworkBlueprint } from '../nn/networks/network-blueprint';
import { RepCore } from '../nn/rep-core';
import { isArray, wrongOption } from '../options';
import { defaultPreprocessing } from '../preprocessing';
import type { AssembledGraph, NodeIntegers } from './assemble';
import type { FloatGraph } from './float-graph';
import { type IntegerPlan, type PlanOptions, planIntegers } from './plan';
import { floatsOf } from './roles';
import type { Quantized, Row, Subject } from './subject';

/** The operators of which the first in a layer stands for it. */
const mainOps: Readonly<Record<FloatLayer['kind'], readonly string[]>> = {
  conv: ['conv', 'gemm'],
  globalAverage: ['globalAveragePool'],
  squeezeExcite: ['mul'],
};

/** Copies of modules that compute one after the other, as one graph. Its nodes belong to layers, which files and reports name. */
export class ModuleSubject implements Subject<QuantizedModel> {
  readonly model: Model;
  readonly correctsInTurn = true;
  readonly #parts: FloatParts;
  readonly #layers = new Map<string, FloatLayer>();
  readonly #keepFloat: readonly string[];

  /**
   * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a module that is not in deploy form, and for modules that do not fit each other;
   * ERR_NON_FINITE naming a tensor; ERR_INVALID_ARG, also for names in `keepFloat` that no convolution or linear layer has.
   */
  constructor(model: Module | readonly Module[], keepFloat: readonly string[]) {
    const parts = readModules(model);
    checkNames(keepFloat, parts.layers);
    const { layers, inChannels, flat, preprocessing = defaultPreprocessing(inChannels) } = parts;
    const chain = new ChainGraph();
    for (const layer of layers) for (const name of chain.add(layer, readerOf(layer))) this.#layers.set(name, layer);
    this.model = new Model(chain.finish(layers, inChannels, flat), { preprocessing });
    this.#parts = parts;
    this.#keepFloat = keepFloat;
  }

  readonly placeOf = (node: GraphNode): string => `layer ${this.nameOf(node)}`;

  nameOf(node: GraphNode): string {
    return this.#layerOf(node).name;
  }

  keptIn(): (node: GraphNode) => boolean {
    return (node) => this.#keepFloat.includes(this.nameOf(node));
  }

  /** Layers in integers: all convolutions except those that are kept in float, and averages between two of them. */
  plan(float: FloatGraph, { isKept, quantizeLogits }: PlanOptions): IntegerPlan {
    const { layers } = this.#parts;
    const mains = this.#mainsOf(float.graph);
    const kept = layers.filter((layer) => isKept(mains.get(layer) as GraphNode)).map(({ name }) => name);
    const isInteger = integerSteps(layers, kept);
    const integers = new Set(layers.filter((_, i) => isInteger[i]));
    const plan = planIntegers(float, {
      isKept: (node) => !integers.has(this.#layerOf(node)),
      quantizeLogits: false,
      free: true,
    });
    if (!quantizeLogits || !isInteger.at(-1)) return plan;
    return { ...plan, values: new Set([...plan.values, outputName]) };
  }

  rows({ wiring: { graph } }: IntegerPlan): Row[] {
    const last = new Map(graph.nodes.map((node) => [this.#layerOf(node), node.outputs[0] as string]));
    return Array.from(this.#mainsOf(graph), ([layer, node]) => {
      return { node, kind: layer.kind, output: last.get(layer) as string };
    });
  }

  finish(assembled: AssembledGraph, recipe: QuantizationRecipe): Quantized<QuantizedModel> {
    const mains = this.#mainsOf(assembled.plan.wiring.graph);
    const layers = Array.from(mains, ([layer, node]) => this.#quantizedLayer(layer, node, assembled));
    const { inChannels, flat, preprocessing, network } = this.#parts;
    const output = assembled.choices.get(outputName)?.parameters;
    const parts = { layers, output, recipe, inChannels, flat, preprocessing, network };
    const model = new QuantizedModel(parts);
    const { bytes, floatBytes } = model.summary();
    return { model, bytes, floatBytes };
  }

  #layerOf({ name }: GraphNode): FloatLayer {
    return this.#layers.get(name) as FloatLayer;
  }

  /** The node that stands for each layer, in their order. */
  #mainsOf({ nodes }: Graph): Map<FloatLayer, GraphNode> {
    return new Map(
      nodes.flatMap((node) => {
        const layer = this.#layerOf(node);
        return mainOps[layer.kind].includes(node.op) ? [[layer, node] as const] : [];
      }),
    );
  }

  #quantizedLayer(layer: FloatLayer, node: GraphNode, { plan, choices, weights }: AssembledGraph): QuantizedLayer {
    const input = choices.get(node.inputs[0] as string)?.parameters;
    if (!plan.nodes.has(node) || !input || layer.kind === 'squeezeExcite') return this.#floatLayer(layer, plan);
    if (layer.kind === 'globalAverage') return { ...layer, precision: 'int8', input };
    const { weight, weightScale, bias } = (weights.get(node) as NodeIntegers).integers;
    return { ...layer, precision: 'int8', input, weight, weightScale, bias };
  }

  /** Returns layers with the tensors of the graph, which equalisation may have changed. */
  #floatLayer(layer: FloatLayer, { wiring: { graph } }: IntegerPlan): FloatLayer {
    const own = graph.nodes.filter((node) => this.#layerOf(node) === layer);
    const tensors = own.flatMap(({ inputs }) => inputs.flatMap((name) => floatsOf(graph.tensors.get(name)) ?? []));
    return floatLayer(layer, () => tensors.shift());
  }
}

type FloatParts = Omit<QuantizedParts, 'layers' | 'output' | 'recipe'> & { readonly layers: readonly FloatLayer[] };

function readModules(model: Module | readonly Module[]): FloatParts {
  if (!isArray(model)) return readModule(model as Module, '');
  if (model.length === 0) throw mismatch('ERR_INVALID_ARG', 'model', 'at least one module', 'none');
  const parts = model.map((module: Module, i) => within(`model[${i}]`, () => readModule(module, `${i}.`)));
  parts.forEach(({ inChannels }, i) => {
    const before = parts[i - 1];
    const outChannels = outChannelsOf(before?.layers ?? []);
    if (i === 0 || (outChannels === inChannels && !before?.flat)) return;
    const expected = `a module for the ${outChannels} channels of the one before it`;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', `model[${i}]`, expected, `one for ${inChannels}`);
  });
  const [first] = parts as [FloatParts];
  return {
    layers: parts.flatMap(({ layers }) => layers),
    inChannels: first.inChannels,
    flat: parts.at(-1)?.flat === true,
    preprocessing: first.preprocessing,
    network: undefined,
  };
}

function readModule(module: Module, prefix: string): FloatParts {
  const core = coreOf(module);
  const { store, inChannels, preprocessing, flat = false } = core.definition;
  const steps = deploySteps(core.definition);
  const stored = stateReader(store);
  const read = (tensor: StepTensor): Float32Array | undefined => {
    const values = stored(tensor);
    if (values) within(tensor.name, () => checkFinite(values));
    return values;
  };
  const layers = steps.map((step) => floatLayer({ ...step, name: prefix + step.name }, read));
  const isNetwork = core instanceof RepCore && core.blueprint instanceof NetworkBlueprint;
  const network = isNetwork ? (core.blueprint as NetworkBlueprint).options : undefined;
  return { layers, inChannels, flat, preprocessing, network };
}

function checkNames(names: readonly string[], layers: readonly FloatLayer[]): void {
  const known = layers.filter(({ kind }) => kind === 'conv').map(({ name }) => name);
  const odd = names.find((name) => !known.includes(name));
  if (odd === undefined) return;
  throw wrongOption('keepFloat', `names among ${known.join(', ')}`, describe(odd) + didYouMean(odd, known));
}
