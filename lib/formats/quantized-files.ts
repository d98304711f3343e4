import { describe, describeList, mismatch, quote } from '../errors';
import { outputLayer, parameterNames, scaleName } from '../model/quantized-graph';
import { floatLayer, type QuantizationParameters, type QuantizedLayer, readerOf } from '../model/quantized-layers';
import { type QuantizationRecipe, QuantizedModel } from '../model/quantized-model';
import { layerGraph, layerSlots } from '../nn/blocks/layers';
import { integerSteps, type Step, stepsOf } from '../nn/networks/chain';
import { NetworkBlueprint } from '../nn/networks/network-blueprint';
import type { CheckedNetworkOptions } from '../nn/networks/network-options';
import type { Dtype, RawTensor } from './dtypes';
import { describeNetwork, formatVersions, type Metadata } from './model-metadata';

/**
 * In safetensors files before version 4, these list scales and zero points in the order of the layers that read the integers; those
 * of the logits come last. ONNX files have always had them by name, and keep version 1.
 */
const lists = { scales: 'activation_scale', zeroPoints: 'activation_zero_point' } as const;

/** What the metadata says about the quantisation, as JSON under this key. */
interface QuantizationNotes extends QuantizationRecipe {
  readonly keepFloat: readonly string[];
  readonly quantizeLogits: boolean;
}

const notesKey = 'quantization';

/** The metadata of a quantised network. @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for anything but a network. */
export function describeQuantized(model: QuantizedModel): Metadata {
  if (!model.isNetwork) {
    throw mismatch('ERR_MODEL_INCOMPATIBLE', 'a quantised network', 'quantised blocks or convolutions');
  }
  const inFloat = model.layers.filter(({ kind, precision }) => kind === 'conv' && precision === 'float32');
  const keepFloat = inFloat.map(({ name }) => name);
  const notes: QuantizationNotes = { ...model.recipe, keepFloat, quantizeLogits: model.output !== undefined };
  return { ...describeNetwork(model.options, 'int8'), [notesKey]: JSON.stringify(notes) };
}

/**
 * A quantised network as `saveModel` writes it. Weights are I8 and biases I32, under their names in deploy form. A scale for each
 * output channel, and scale and zero point of what a layer reads, have the names that they have in the graph of the network.
 */
export function packQuantized(model: QuantizedModel): { tensors: Record<string, RawTensor>; metadata: Metadata } {
  const metadata = { ...describeQuantized(model), formatVersion: formatVersions.namedScales };
  const tensors: Record<string, RawTensor> = {};
  for (const layer of model.layers) Object.assign(tensors, layerTensors(layer));
  if (model.output) Object.assign(tensors, parameterTensors(outputLayer, model.output));
  return { tensors, metadata };
}

/** The tensors of a layer, by name. */
function layerTensors(layer: QuantizedLayer): Record<string, RawTensor> {
  if (layer.precision === 'float32') {
    const read = readerOf(layer);
    const tensors = layer.tensors.map((tensor): [string, RawTensor] => {
      return [tensor.name, { dtype: 'F32', data: read(tensor) as Float32Array, dims: [...tensor.dims] }];
    });
    return Object.fromEntries(tensors);
  }
  const parameters = parameterTensors(layer.name, layer.input);
  if (layer.kind === 'globalAverage') return parameters;
  const [weight, bias] = layer.tensors;
  const dims = [...bias.dims];
  return {
    ...parameters,
    [weight.name]: { dtype: 'I8', data: layer.weight, dims: [...weight.dims] },
    [scaleName(weight.name)]: { dtype: 'F32', data: layer.weightScale, dims },
    [bias.name]: { dtype: 'I32', data: layer.bias, dims },
  };
}

function parameterTensors(reader: string, { scale, zeroPoint }: QuantizationParameters): Record<string, RawTensor> {
  const [scaleTensor, zeroPointTensor] = parameterNames(reader);
  return {
    [scaleTensor]: { dtype: 'F32', data: Float32Array.of(scale), dims: [] },
    [zeroPointTensor]: { dtype: 'U8', data: Uint8Array.of(zeroPoint), dims: [] },
  };
}

/** Makes a quantised network from the content of a file. @throws {QARepVGGError} ERR_MODEL_FORMAT, ERR_QUANT_PARAM */
export function assembleQuantized(
  options: CheckedNetworkOptions,
  metadata: Metadata,
  tensors: Readonly<Record<string, RawTensor>>,
): QuantizedModel {
  const source = new TensorSource(tensors);
  const model = buildQuantized(options, metadata, source, metadata.formatVersion !== formatVersions.namedScales);
  source.end();
  return model;
}

/**
 * Makes a quantised network from metadata and tensors.
 *
 * @param isListed Whether {@link lists} hold the scales and zero points of activations.
 */
export function buildQuantized(
  options: CheckedNetworkOptions,
  metadata: Metadata,
  source: TensorSource,
  isListed: boolean,
): QuantizedModel {
  const { keepFloat, quantizeLogits, ...recipe } = readNotes(metadata);
  const deploy = new NetworkBlueprint(options).layers('deploy');
  const slots = layerSlots(deploy);
  const steps = stepsOf(layerGraph(deploy, slots), slots);
  const names = steps.filter(({ kind }) => kind === 'conv').map(({ name }) => name);
  const odd = keepFloat.find((name) => !names.includes(name));
  if (odd !== undefined) throw badNotes(`keepFloat among ${describeList(names)}`, describe(odd));
  const isInteger = integerSteps(steps, keepFloat);
  const readers = steps.filter((_, i) => isInteger[i]).map(({ name }) => name);
  if (quantizeLogits) readers.push(outputLayer);
  const parametersOf = isListed ? parametersInLists(source, readers) : parametersByName(source);
  const layers = steps.map((step, i): QuantizedLayer => {
    if (!isInteger[i] || step.kind === 'squeezeExcite') return source.floatLayer(step);
    const input = parametersOf(step.name);
    if (step.kind === 'globalAverage') return { ...step, precision: 'int8', input };
    const [weight, bias] = step.tensors;
    return {
      ...step,
      precision: 'int8',
      input,
      weight: source.take(weight.name, 'I8', weight.dims),
      weightScale: source.take(scaleName(weight.name), 'F32', bias.dims),
      bias: source.take(bias.name, 'I32', bias.dims),
    };
  });
  const parts = {
    layers,
    output: quantizeLogits ? parametersOf(outputLayer) : undefined,
    recipe,
    inChannels: options.inChannels,
    flat: true,
    preprocessing: options.preprocessing,
    network: options,
  };
  return new QuantizedModel(parts);
}

/** Returns scale and zero point of what a layer reads. */
type ParametersOf = (reader: string) => QuantizationParameters;

function parametersByName(source: TensorSource): ParametersOf {
  return (reader) => {
    const [scale, zeroPoint] = parameterNames(reader);
    return {
      scale: source.take(scale, 'F32', [])[0] as number,
      zeroPoint: source.take(zeroPoint, 'U8', [])[0] as number,
    };
  };
}

/** @param readers All of them; a file without any has no lists. */
function parametersInLists(source: TensorSource, readers: readonly string[]): ParametersOf {
  const dims = [readers.length];
  const scales = readers.length > 0 ? source.take(lists.scales, 'F32', dims) : [];
  const zeroPoints = readers.length > 0 ? source.take(lists.zeroPoints, 'U8', dims) : [];
  return (reader) => {
    const i = readers.indexOf(reader);
    return { scale: scales[i] as number, zeroPoint: zeroPoints[i] as number };
  };
}

type ArrayOf<D extends Dtype> = Extract<RawTensor, { dtype: D }>['data'];

/** The tensors of a file, each of which must be used exactly once. */
export class TensorSource {
  readonly #tensors: Map<string, RawTensor>;

  constructor(tensors: Readonly<Record<string, RawTensor>>) {
    this.#tensors = new Map(Object.entries(tensors));
  }

  /** The numbers of a tensor. @throws {QARepVGGError} ERR_MODEL_FORMAT unless it exists with this type and these dims. */
  take<D extends Dtype>(name: string, dtype: D, dims: readonly number[]): ArrayOf<D> {
    const tensor = this.#tensors.get(name);
    if (tensor?.dtype !== dtype || tensor.dims.join() !== dims.join()) {
      const received = tensor ? `${tensor.dtype} of dims ${describeList(tensor.dims)}` : 'none';
      const expected = `tensor ${quote(name)} of type ${dtype} and dims ${describeList(dims)}, as the metadata say`;
      throw mismatch('ERR_MODEL_FORMAT', expected, received);
    }
    this.#tensors.delete(name);
    return tensor.data as ArrayOf<D>;
  }

  floatLayer(step: Step): QuantizedLayer {
    return floatLayer(step, ({ name, dims }) => this.take(name, 'F32', dims));
  }

  /** @throws {QARepVGGError} ERR_MODEL_FORMAT if a tensor has not been used. */
  end(): void {
    const [odd] = this.#tensors.keys();
    if (odd === undefined) return;
    throw mismatch('ERR_MODEL_FORMAT', 'the tensors that the metadata name', `also ${quote(odd)}`);
  }
}

const methods: readonly unknown[] = ['minmax', 'percentile', 'entropy', 'mse'];
const schemes: readonly unknown[] = ['affine', 'symmetric'];
const isFlag = (value: unknown): boolean => typeof value === 'boolean';
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 1;
const isBits = (value: unknown): boolean => isCount(value) && (value as number) >= 4 && (value as number) <= 8;
const isNames = (value: unknown): boolean => Array.isArray(value) && value.every((name) => typeof name === 'string');

const checks: Readonly<Record<keyof QuantizationNotes, (value: unknown) => boolean>> = {
  method: (value) => methods.includes(value),
  scheme: (value) => schemes.includes(value),
  perChannel: isFlag,
  weightBits: isBits,
  activationBits: isBits,
  equalize: isFlag,
  biasCorrection: isFlag,
  images: isCount,
  keepFloat: isNames,
  quantizeLogits: isFlag,
};

/** The reverse of {@link describeQuantized}. @throws {QARepVGGError} ERR_MODEL_FORMAT */
function readNotes(metadata: Metadata): QuantizationNotes {
  const text = metadata[notesKey];
  if (text === undefined) throw mismatch('ERR_MODEL_FORMAT', `metadata ${notesKey}`, 'none');
  let notes: unknown;
  try {
    notes = JSON.parse(text);
  } catch {
    throw badNotes('JSON', quote(text));
  }
  if (typeof notes !== 'object' || notes === null) throw badNotes('an object', quote(text));
  const given = new Map(Object.entries(notes));
  const read = Object.entries(checks).map(([name, isGood]) => {
    const value: unknown = given.get(name);
    if (!isGood(value)) throw badNotes(`a valid ${name}`, describe(value));
    return [name, value];
  });
  return Object.fromEntries(read) as QuantizationNotes;
}

function badNotes(expected: string, received: string) {
  return mismatch('ERR_MODEL_FORMAT', `metadata ${notesKey}`, expected, received);
}
