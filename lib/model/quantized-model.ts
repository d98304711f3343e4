import { inspect, types } from 'node:util';
import { mismatch } from '../errors';
import type { CheckedNetworkOptions } from '../nn/networks/network-options';
import { readForeign } from '../options';
import type { Preprocessing } from '../preprocessing';
import { refuseClones } from '../uncloneable';
import { checkParts } from './check-quantized';
import type { QuantizationParameters, QuantizedLayer } from './quantized-layers';

/** How the parameters of a quantised model were chosen. For information: nothing is computed from it. */
export interface QuantizationRecipe {
  readonly method: 'minmax' | 'percentile' | 'entropy' | 'mse';
  readonly scheme: 'affine' | 'symmetric';
  readonly perChannel: boolean;
  readonly weightBits: number;
  readonly activationBits: number;
  readonly equalize: boolean;
  readonly biasCorrection: boolean;
  /** Number of calibration images. */
  readonly images: number;
}

/** The parts of a {@link QuantizedModel}. */
export interface QuantizedParts {
  /** In the order in which they compute. */
  readonly layers: readonly QuantizedLayer[];
  /** Of the logits; absent where they stay in float. */
  readonly output: QuantizationParameters | undefined;
  readonly recipe: QuantizationRecipe;
  readonly inChannels: number;
  /** Outputs are [n, c] and not [n, c, h, w]. */
  readonly flat: boolean;
  readonly preprocessing: Preprocessing | undefined;
  /** Of the network that was quantised; none for blocks and convolutions. */
  readonly network: CheckedNetworkOptions | undefined;
}

/** A layer of a quantised model in numbers. */
export interface QuantizedLayerSummary {
  readonly name: string;
  readonly kind: QuantizedLayer['kind'];
  readonly precision: QuantizedLayer['precision'];
  /** Weights and biases. */
  readonly parameters: number;
  /** Size of its tensors, including scales. */
  readonly bytes: number;
}

/** A quantised model in numbers. */
export interface QuantizedSummary {
  readonly layers: readonly QuantizedLayerSummary[];
  readonly parameters: number;
  readonly bytes: number;
  /** The same parameters in float32. */
  readonly floatBytes: number;
}

/**
 * A network, block or convolution whose layers compute in 8-bit integers; {@link quantize} and {@link loadModel} make them.
 * It has no forward: `InferenceSession.create` runs it.
 *
 * @example
 * const { model } = await quantize(network, images);
 * await saveModel(model, 'int8.safetensors');
 * const session = await InferenceSession.create(model);
 */
export class QuantizedModel {
  /** Beside 'train', 'partial' and 'deploy' of other models. */
  readonly form = 'int8';
  /**
   * In the order in which they compute; each reads the output of the one before. They are frozen except for the numbers in typed arrays,
   * which JavaScript cannot freeze: code that writes to these changes the model, and only a session checks it again.
   */
  readonly layers: readonly QuantizedLayer[];
  /** Of the logits, with the option `quantizeLogits`. */
  readonly output: QuantizationParameters | undefined;
  readonly recipe: QuantizationRecipe;
  readonly inChannels: number;
  /** @internal */
  readonly flat: boolean;
  /** Turns bytes of images into inputs; undefined if the original model has none. */
  readonly preprocessing: Preprocessing | undefined;
  readonly #network: CheckedNetworkOptions | undefined;

  /**
   * @internal
   * @throws {QARepVGGError} ERR_QUANT_PARAM naming the layer that cannot be computed: scales, zero points, counts, and sums
   * that could leave 32 bits; ERR_INVALID_ARG for anything but parts of a model.
   */
  constructor(parts: QuantizedParts) {
    const own = readForeign(() => ownParts(parts));
    checkParts(own);
    this.layers = own.layers;
    this.output = own.output;
    this.recipe = own.recipe;
    this.inChannels = own.inChannels;
    this.flat = own.flat;
    this.preprocessing = own.preprocessing;
    this.#network = own.network;
    refuseClones(this);
    Object.freeze(this);
  }

  /** A private field marks instances, so that checking for one runs no code of a Proxy. */
  static [Symbol.hasInstance](value: unknown): value is QuantizedModel {
    return typeof value === 'object' && value !== null && #network in value;
  }

  /**
   * The options of the network that was quantised.
   *
   * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE if it was not a network but blocks or a convolution.
   */
  get options(): CheckedNetworkOptions {
    if (this.#network) return this.#network;
    throw mismatch(
      'ERR_MODEL_INCOMPATIBLE',
      'QuantizedModel.options',
      'a quantised network',
      'blocks or a convolution',
    );
  }

  /** Whether it was a network that was quantised. */
  get isNetwork(): boolean {
    return this.#network !== undefined;
  }

  /** Names of the classes, if the network has some. */
  get labels(): readonly string[] | undefined {
    return this.#network?.labels;
  }

  /** Sizes of the model and of its layers. */
  summary(): QuantizedSummary {
    const layers = this.layers.map(summarise);
    const total = (key: 'parameters' | 'bytes'): number => layers.reduce((sum, layer) => sum + layer[key], 0);
    const parameters = total('parameters');
    return { layers, parameters, bytes: total('bytes'), floatBytes: 4 * parameters };
  }

  /** "QuantizedModel(qarepvgg_a0, 3 -> 1000, int8 form, 22 of 23 layers)" */
  toString(): string {
    const convs = this.layers.filter(({ kind }) => kind === 'conv');
    const integer = convs.filter(({ precision }) => precision === 'int8').length;
    const network = this.#network;
    const what = network ? `${network.architecture}, ${network.inChannels} -> ${network.numClasses}, ` : '';
    return `QuantizedModel(${what}int8 form, ${integer} of ${convs.length} layers)`;
  }

  /** What `console.log` prints. */
  [inspect.custom](): string {
    return #network in this ? `${this}` : 'QuantizedModel {}';
  }
}

/** Frozen copies of unchecked parts; tensors are shared. */
function ownParts(parts: QuantizedParts): QuantizedParts {
  if (typeof parts !== 'object' || parts === null) return parts;
  const { layers, output, recipe, inChannels, flat, preprocessing, network } = parts;
  const own = { layers: frozen(layers), output: frozen(output), recipe: frozen(recipe) };
  return { ...own, inChannels, flat, preprocessing, network };
}

/** A deep copy of plain objects and arrays. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || types.isTypedArray(value)) return value;
  const copy = Array.isArray(value) ? value.map(frozen) : mapValues(value, frozen);
  return Object.freeze(copy) as T;
}

function mapValues(object: object, map: (value: unknown) => unknown): object {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, map(value)]));
}

function summarise(layer: QuantizedLayer): QuantizedLayerSummary {
  const { name, kind, precision } = layer;
  const own = layer as unknown as Readonly<Record<string, Float32Array | Int8Array | Int32Array>>;
  const tensors = layer.tensors.flatMap(({ key }) => own[key] ?? []);
  const scales = 'weightScale' in layer ? layer.weightScale.byteLength : 0;
  return {
    name,
    kind,
    precision,
    parameters: tensors.reduce((sum, { length }) => sum + length, 0),
    bytes: tensors.reduce((sum, { byteLength }) => sum + byteLength, scales),
  };
}
