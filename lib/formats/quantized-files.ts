import { describe, describeList, mismatch, quote } from '../errors';
import { scaleName } from '../model/quantized-graph';
import { floatLayer, type QuantizationParameters, type QuantizedLayer, readerOf } from '../model/quantized-layers';
import { type QuantizationRecipe, QuantizedModel } from '../model/quantized-model';
import { layerGraph, layerSlots } from '../nn/blocks/layers';
import { integerSteps, type Step, stepsOf } from '../nn/networks/chain';
import { NetworkBlueprint } from '../nn/networks/network-blueprint';
import type { CheckedNetworkOptions } from '../nn/networks/network-options';
import type { Dtype, RawTensor } from './dtypes';
import { describeNetwork, type Metadata } from './model-metadata';

/**
 * The layout of a quantised network in a file. Weights are I8 and biases I32, under their names in deploy form; `<weight>_scale`
 * has a scale for each output channel. Two tensors hold scales and zero points of activations, in the order of the layers that
 * read integers; those of the logits come last, if they are rounded.
 */
const activationScales = 'activation_scale';
const activationZeroPoints = 'activation_zero_point';

/** What the metadata says about the quantisation, as JSON under this key. */
export interface QuantizationNotes extends QuantizationRecipe {
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

/** The tensors of a quantised network. */
export function quantizedTensors({ layers, output }: QuantizedModel): Record<string, RawTensor> {
  const tensors: Record<string, RawTensor> = {};
  const activations = layers.flatMap((layer) => (layer.precision === 'int8' ? [layer.input] : []));
  if (output) activations.push(output);
  for (const layer of layers) Object.assign(tensors, layerTensors(layer));
  if (activations.length === 0) return tensors;
  const dims = [activations.length];
  const scales = Float32Array.from(activations, ({ scale }) => scale);
  tensors[activationScales] = { dtype: 'F32', data: scales, dims };
  const zeroPoints = Uint8Array.from(activations, ({ zeroPoint }) => zeroPoint);
  tensors[activationZeroPoints] = { dtype: 'U8', data: zeroPoints, dims };
  return tensors;
}

/** The weights of a layer, by name. */
function layerTensors(layer: QuantizedLayer): Record<string, RawTensor> {
  if (layer.precision === 'float32') {
    const read = readerOf(layer);
    const tensors = layer.tensors.map((tensor): [string, RawTensor] => {
      return [tensor.name, { dtype: 'F32', data: read(tensor) as Float32Array, dims: [...tensor.dims] }];
    });
    return Object.fromEntries(tensors);
  }
  if (layer.kind === 'globalAverage') return {};
  const [weight, bias] = layer.tensors;
  const dims = [...bias.dims];
  return {
    [weight.name]: { dtype: 'I8', data: layer.weight, dims: [...weight.dims] },
    [scaleName(weight.name)]: { dtype: 'F32', data: layer.weightScale, dims },
    [bias.name]: { dtype: 'I32', data: layer.bias, dims },
  };
}

/** Makes a quantised network from the content of a file. @throws {QARepVGGError} ERR_MODEL_FORMAT, ERR_QUANT_PARAM */
export function assembleQuantized(
  options: CheckedNetworkOptions,
  metadata: Metadata,
  tensors: Readonly<Record<string, RawTensor>>,
): QuantizedModel {
  const source = new TensorSource(tensors);
  const readLists = ({ length }: readonly unknown[]): ParametersOf => {
    const scales = length > 0 ? source.take(activationScales, 'F32', [length]) : [];
    const zeroPoints = length > 0 ? source.take(activationZeroPoints, 'U8', [length]) : [];
    return (i) => ({ scale: scales[i] as number, zeroPoint: zeroPoints[i] as number });
  };
  const model = buildQuantized(options, metadata, source, readLists);
  source.end();
  return model;
}

/** Parameters of the i-th tensor of integers between layers. */
type ParametersOf = (index: number) => QuantizationParameters;

/**
 * Makes a quantised network from metadata and tensors.
 *
 * @param read Returns the parameters of the input of the layer with this name; without a name, those of quantised logits.
 */
export function buildQuantized(
  options: CheckedNetworkOptions,
  metadata: Metadata,
  source: TensorSource,
  read: (takers: readonly (string | undefined)[]) => ParametersOf,
): QuantizedModel {
  const { keepFloat, quantizeLogits, ...recipe } = readNotes(metadata);
  const deploy = new NetworkBlueprint(options).layers('deploy');
  const slots = layerSlots(deploy);
  const steps = stepsOf(layerGraph(deploy, slots), slots);
  const isInteger = integerSteps(steps, keepFloat);
  const takers = steps.filter((_, i) => isInteger[i]).map(({ name }) => name);
  const parameters = read(quantizeLogits ? [...takers, undefined] : takers);
  const names = steps.filter(({ kind }) => kind === 'conv').map(({ name }) => name);
  const odd = keepFloat.find((name) => !names.includes(name));
  if (odd !== undefined) throw badNotes(`keepFloat among ${describeList(names)}`, describe(odd));
  let next = 0;
  const layers = steps.map((step, i): QuantizedLayer => {
    if (!isInteger[i] || step.kind === 'squeezeExcite') return source.floatLayer(step);
    const input = parameters(next++);
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
    output: quantizeLogits ? parameters(next) : undefined,
    recipe,
    inChannels: options.inChannels,
    flat: true,
    preprocessing: options.preprocessing,
    network: options,
  };
  return new QuantizedModel(parts);
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
