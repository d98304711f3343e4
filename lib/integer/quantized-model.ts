import { mismatch } from '../errors';
import type { CheckedNetworkOptions } from '../nn/network-options';
import type { Preprocessing } from '../preprocessing';
import { type QuantizationParameters, type QuantizedLayer, tensorsOf } from './layers';

/** How the parameters of a quantised model were chosen; for people and files, nothing is computed from it. */
export interface QuantizationRecipe {
  readonly method: 'minmax' | 'percentile' | 'entropy' | 'mse';
  readonly scheme: 'affine' | 'symmetric';
  readonly perChannel: boolean;
  readonly weightBits: number;
  readonly activationBits: number;
  readonly equalize: boolean;
  readonly biasCorrection: boolean;
  /** Images that were looked at. */
  readonly images: number;
}

/** What a {@link QuantizedModel} is made of. */
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
  /** Of its tensors, scales included. */
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
  /** In the order in which they compute; each takes what the one before puts out. */
  readonly layers: readonly QuantizedLayer[];
  /** Of the logits, with the option `quantizeLogits`. */
  readonly output: QuantizationParameters | undefined;
  readonly recipe: QuantizationRecipe;
  readonly inChannels: number;
  /** @internal */
  readonly flat: boolean;
  /** What turns bytes of images into inputs, where the model that was quantised has something of the kind. */
  readonly preprocessing: Preprocessing | undefined;
  readonly #network: CheckedNetworkOptions | undefined;

  /** @internal @throws {QARepVGGError} ERR_QUANT_PARAM naming the layer. */
  constructor(parts: QuantizedParts, where: string) {
    const { layers, output, network } = parts;
    checkLayers(layers, output, where);
    this.layers = Object.freeze([...layers]);
    this.output = output;
    this.recipe = Object.freeze({ ...parts.recipe });
    this.inChannels = parts.inChannels;
    this.flat = parts.flat;
    this.preprocessing = parts.preprocessing;
    this.#network = network;
  }

  /**
   * The options of the network that was quantised.
   *
   * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE when it was no network but blocks or a convolution.
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
}

function summarise(layer: QuantizedLayer): QuantizedLayerSummary {
  const { name, kind, precision } = layer;
  const tensors = precision === 'float32' ? tensorsOf(layer) : kind === 'conv' ? [layer.weight, layer.bias] : [];
  const scales = 'weightScale' in layer ? layer.weightScale.byteLength : 0;
  return {
    ...{ name, kind, precision },
    parameters: tensors.reduce((sum, { length }) => sum + length, 0),
    bytes: tensors.reduce((sum, { byteLength }) => sum + byteLength, scales),
  };
}

/** What scale and zero point must be; the native session checks the same. */
export function checkParameters({ scale, zeroPoint }: QuantizationParameters, where: string): void {
  checkScale(scale, `${where}, scale`);
  if (Number.isInteger(zeroPoint) && zeroPoint >= 0 && zeroPoint <= 255) return;
  throw mismatch('ERR_QUANT_PARAM', `${where}, zero point`, 'an integer from 0 to 255', String(zeroPoint));
}

/** Smallest float32 that is not denormal. */
const minNormal = 2 ** -126;

function checkScale(scale: number, where: string): void {
  if (Math.fround(scale) === scale && scale >= minNormal && scale < Number.POSITIVE_INFINITY) return;
  throw mismatch('ERR_QUANT_PARAM', where, 'a float32 value, normal and above 0', String(scale));
}

function checkLayers(
  layers: readonly QuantizedLayer[],
  output: QuantizationParameters | undefined,
  where: string,
): void {
  layers.forEach((layer, i) => {
    const place = `${where}, layer ${layer.name}`;
    if (layer.precision === 'float32') return;
    checkParameters(layer.input, `${place}, input`);
    if (layer.kind === 'globalAverage') {
      if (outputParameters(layers, i, output)) return;
      throw mismatch('ERR_QUANT_PARAM', place, 'a layer in integers after it', 'one in float');
    }
    const { outChannels, inChannels, groups, kernel, weight, bias, weightScale } = layer;
    checkCount(weight.length, outChannels * (inChannels / groups) * kernel ** 2, `${place}, weight`);
    checkCount(bias.length, outChannels, `${place}, bias`);
    checkCount(weightScale.length, outChannels, `${place}, weight scales`);
    weightScale.forEach((scale, channel) => {
      checkScale(scale, `${place}, weight scale ${channel}`);
      checkScale(Math.fround(scale * layer.input.scale), `${place}, weight scale ${channel} times input scale`);
    });
  });
  if (!output) return;
  checkParameters(output, `${where}, output`);
  if (layers.at(-1)?.precision === 'int8') return;
  throw mismatch('ERR_QUANT_PARAM', `${where}, output`, 'a last layer in integers', 'one in float');
}

/** What layer `index` puts out: integers where the next layer takes them, or else float (undefined). */
export function outputParameters(
  layers: readonly QuantizedLayer[],
  index: number,
  output: QuantizationParameters | undefined,
): QuantizationParameters | undefined {
  if (index === layers.length - 1) return output;
  const next = layers[index + 1];
  return next?.precision === 'int8' ? next.input : undefined;
}

function checkCount(received: number, expected: number, where: string): void {
  if (received !== expected) throw mismatch('ERR_QUANT_PARAM', where, `${expected} numbers`, String(received));
}
