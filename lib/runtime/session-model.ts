import type { GraphSpec } from '../../binding';
import { describe, mismatch } from '../errors';
import { sourceNames } from '../formats/sources';
import type { Graph, Value } from '../graph/graph';
import { lowerGraph } from '../graph/lower';
import { optimize } from '../graph/passes';
import { inferShapes } from '../graph/shapes';
import { type Size, sizeOf } from '../image-size';
import { chainSpec } from '../integer/chain-spec';
import { lowerQuantized } from '../integer/lower';
import { QuantizedModel } from '../integer/quantized-model';
import { coreOf, isModule } from '../nn/core';
import { inputName, moduleGraph, outputName } from '../nn/networks/graph';
import { checkOption } from '../options';
import { byteScaling, defaultPreprocessing, readPreprocessing } from '../preprocessing';
import { atOnce } from '../slices';
import type { SessionFacts } from './engine';
import { valueMetadata } from './metadata';
import type { CheckedSessionOptions } from './options';

/** Used where nothing says what size of images is to be expected. */
const defaultSize: Size = [32, 32];

type Nodes = Pick<GraphSpec, 'inputs' | 'constants' | 'nodes' | 'outputs'>;

/** A network of this package, as the engine takes it. Its nodes are the same for images of any size. */
export interface OwnNetwork {
  readonly spec: GraphSpec;
  readonly facts: Omit<SessionFacts, 'takesBytes'>;
  /** Of the graph. */
  readonly inputs: readonly Value[];
}

/**
 * @param take Nobody else needs the model's numbers: their memory goes to the engine.
 * @throws {QARepVGGError} ERR_INVALID_ARG for what is no model, and naming an option; ERR_MODEL_INCOMPATIBLE for one that is not
 * in deploy form; ERR_SHAPE for an `inputSize` that is too small.
 */
export function ownNetwork(model: unknown, options: CheckedSessionOptions, take: boolean, where: string): OwnNetwork {
  const { summary, inChannels, outputDims, labels, ...own } = describeModel(model, where);
  const inputSize = options.inputSize ?? own.inputSize ?? defaultSize;
  const fallback = own.preprocessing ?? defaultPreprocessing(inChannels);
  const given = options.preprocessing === undefined ? fallback : options.preprocessing;
  const preprocessing = checkOption(where, 'preprocessing', (place) => readPreprocessing(given, inChannels, place));
  const { algorithm, threads = 0, maxBatch: together } = options;
  const spec = {
    ...own.nodes([inChannels, ...inputSize]),
    ...{ independent: true, together, algorithm, threads, take: take && own.canTake },
    ...byteScaling(preprocessing),
  };
  const inputs = [{ name: inputName, type: 'float32', dims: ['N', inChannels, 'H', 'W'] }] as const;
  const facts = {
    ...{ summary, preprocessing, labels, independent: true },
    inputSize: Object.freeze([...inputSize]) as Size,
    inputs: inputs.map(({ name, dims }) => valueMetadata(name, dims)),
    outputs: [valueMetadata(outputName, outputDims)],
  };
  return { spec, facts, inputs };
}

function describeModel(model: unknown, where: string) {
  if (model instanceof QuantizedModel) return ofQuantized(model, where);
  if (isModule(model)) return ofModule(model, where);
  const expected = `a model in deploy form, a quantised one, or the file of a model: ${sourceNames}`;
  throw mismatch('ERR_INVALID_ARG', where, expected, describe(model));
}

function ofModule(model: unknown, where: string) {
  const { definition } = coreOf(model, where);
  const { summary, store, inChannels, inputSize, preprocessing, labels } = definition;
  store.checkAttached(where);
  const graph = moduleGraph(definition, where);
  const outputDims = graph.values.get(outputName)?.dims ?? [];
  const nodes = (image: readonly number[]): Nodes => {
    inferShapes(definition.ops, [1, ...image], false, where);
    return lowered(graph, image, where);
  };
  return { summary, inChannels, inputSize, preprocessing, labels, outputDims, nodes, canTake: true };
}

function lowered(graph: Graph, image: readonly number[], where: string): Nodes {
  return lowerGraph(atOnce(optimize(graph, new Map([[inputName, [1, ...image]]]), where)), where);
}

function ofQuantized(model: QuantizedModel, where: string) {
  const { inChannels, flat, preprocessing, labels } = model;
  const inputSize = model.isNetwork ? sizeOf(model.options.inputSize) : undefined;
  const { ops, state } = lowerQuantized(model, where);
  const nodes = (image: readonly number[]): Nodes => {
    inferShapes(ops, [1, ...image], false, where);
    return chainSpec(ops, state, image, flat);
  };
  const channels = model.layers.findLast((layer) => layer.kind === 'conv')?.outChannels ?? inChannels;
  const outputDims = ['N', channels, ...(flat ? [] : ['H_out', 'W_out'])];
  return { summary: `${model}`, inChannels, inputSize, preprocessing, labels, outputDims, nodes, canTake: false };
}
