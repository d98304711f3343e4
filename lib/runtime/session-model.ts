import type { GraphSpec } from '../../binding';
import { describe, mismatch } from '../errors';
import { sourceNames } from '../formats/sources';
import type { Value } from '../graph/graph';
import { lowerGraph } from '../graph/lower';
import { specialize } from '../graph/specialize';
import { type Size, sizeOf } from '../image-size';
import { checkParts } from '../model/check-quantized';
import { QuantizedModel } from '../model/quantized-model';
import { sessionGraph } from '../model/session-graph';
import { coreOf, isModule } from '../nn/core';
import { inputName, outputName } from '../nn/graph';
import type { Module } from '../nn/module';
import { checkOption } from '../options';
import { byteScaling, defaultPreprocessing, readPreprocessing } from '../preprocessing';
import type { SessionFacts } from './engine';
import { valueMetadata } from './metadata';
import type { CheckedSessionOptions } from './options';

/** For models that do not say which size of images they expect. */
const defaultSize: Size = [32, 32];

/** A network of this package, as the engine takes it. Its nodes are the same for images of any size. */
export interface OwnNetwork {
  readonly spec: GraphSpec;
  readonly facts: Omit<SessionFacts, 'takesBytes'>;
  /** Inputs of the graph. */
  readonly inputs: readonly Value[];
}

/**
 * @param take The caller does not need the model any more, so its memory goes to the engine.
 * @throws {QARepVGGError} ERR_INVALID_ARG for something that is not a model, or naming an option; ERR_MODEL_INCOMPATIBLE for a
 * model that is not in deploy form; ERR_SHAPE for an `inputSize` that is too small.
 */
export function ownNetwork(model: unknown, options: CheckedSessionOptions, take: boolean): OwnNetwork {
  const { summary, inChannels, labels, ...own } = describeModel(model, take);
  const graph = sessionGraph(model as Module | QuantizedModel);
  const inputSize = options.inputSize ?? own.inputSize ?? defaultSize;
  const fallback = own.preprocessing ?? defaultPreprocessing(inChannels);
  const given = options.preprocessing === undefined ? fallback : options.preprocessing;
  const preprocessing = checkOption('preprocessing', () => readPreprocessing(given, inChannels));
  const { algorithm, threads = 0, maxBatch: together } = options;
  const image = [1, inChannels, ...inputSize];
  const lowered = lowerGraph(specialize(graph, new Map([[inputName, image]])));
  const spec = {
    ...lowered,
    constants: lowered.constants.map((constant) => ({ ...constant, take: take && own.canTake })),
    independent: true,
    together,
    algorithm,
    threads,
    ...byteScaling(preprocessing),
  };
  const facts = {
    summary,
    preprocessing,
    assumesPreprocessing: false,
    labels,
    independent: true,
    inputSize: Object.freeze([...inputSize]) as Size,
    inputs: graph.inputs.map(({ name, dims }) => valueMetadata(name, dims)),
    outputs: [valueMetadata(outputName, graph.values.get(outputName)?.dims ?? [])],
  };
  return { spec, facts, inputs: graph.inputs };
}

function describeModel(model: unknown, isOwned: boolean) {
  if (model instanceof QuantizedModel) {
    // Its maker may have written to its typed arrays since.
    if (!isOwned) checkParts(model);
    const { inChannels, preprocessing, labels } = model;
    const inputSize = model.isNetwork ? sizeOf(model.options.inputSize) : undefined;
    return { summary: `${model}`, inChannels, inputSize, preprocessing, labels, canTake: false };
  }
  if (isModule(model)) return { ...coreOf(model).definition, canTake: true };
  const expected = `a model in deploy form, a quantised one, or the file of a model: ${sourceNames}`;
  throw mismatch('ERR_INVALID_ARG', expected, describe(model));
}
