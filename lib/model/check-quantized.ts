import { types } from 'node:util';
import { describe, mismatch, within } from '../errors';
import { isNormal } from '../graph/data-types';
import { sizeOf } from '../graph/graph';
import { excessiveSum } from '../graph/integer-sums';
import { type StepKind, type StepTensor, stepKeys } from '../nn/networks/chain';
import {
  type IntegerConv,
  outputParameters,
  type QuantizationParameters,
  type QuantizedLayer,
} from './quantized-layers';
import type { QuantizedParts } from './quantized-model';

// The rules of quantised models. A native session checks the same rules, and those that depend on its instruction set.

/** @throws {QARepVGGError} ERR_INVALID_ARG for anything but a model; ERR_QUANT_PARAM naming a layer that cannot be computed. */
export function checkParts(parts: unknown): asserts parts is QuantizedParts {
  const { layers, recipe, output, inChannels } = objectOf<QuantizedParts>(parts, 'the parts of a quantised model');
  if (!Array.isArray(layers) || layers.length === 0) {
    throw mismatch('ERR_INVALID_ARG', 'layers', 'an array of layers', describe(layers));
  }
  within('recipe', () => objectOf(recipe, 'an object'));
  within('inChannels', () => checkSize(inChannels));
  layers.forEach((layer, i) => {
    within(`layers[${i}]`, () => checkForm(layer));
  });
  const known = layers as readonly QuantizedLayer[];
  checkActivations(known, output);
  known.forEach((layer, i) => {
    within(`layer ${layer.name}`, () => {
      checkTensors(layer);
      if (layer.precision === 'int8') checkInteger(layer, outputParameters(known, i, output));
    });
  });
}

const kinds: readonly unknown[] = Object.keys(stepKeys);

/** Checks that a value is a layer at all. */
function checkForm(value: unknown): void {
  const layer = objectOf<Partial<IntegerConv>>(value, 'a layer');
  const { name, kind, precision } = layer;
  if (typeof name !== 'string') throw mismatch('ERR_INVALID_ARG', 'name', 'text', describe(name));
  if (!kinds.includes(kind)) throw mismatch('ERR_INVALID_ARG', 'kind', kinds.join(' or '), describe(kind));
  const precisions = (kind as string) === 'squeezeExcite' ? ['float32'] : ['float32', 'int8'];
  if (!precisions.includes(precision as string)) {
    throw mismatch('ERR_INVALID_ARG', 'precision', precisions.join(' or '), describe(precision));
  }
  if (precision === 'int8') within('input', () => objectOf(layer.input, 'a scale and a zero point'));
  within('attributes', () => objectOf(layer.attributes, 'those of a node'));
  within('tensors', () => {
    const tensors = listOf(layer.tensors).map((tensor) => objectOf<StepTensor>(tensor, 'a tensor'));
    const keys: readonly string[] = stepKeys[kind as StepKind];
    if (tensors.length !== keys.length || tensors.some(({ key }, i) => key !== keys[i])) {
      throw mismatch('ERR_INVALID_ARG', `the tensors of a ${kind}`, 'others');
    }
    for (const { dims } of tensors) listOf(dims).forEach(checkSize);
  });
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw mismatch('ERR_INVALID_ARG', 'a list', describe(value));
}

function objectOf<T>(value: unknown, expected: string): T {
  if (typeof value === 'object' && value !== null) return value as T;
  throw mismatch('ERR_INVALID_ARG', expected, describe(value));
}

function checkSize(value: unknown): void {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return;
  throw mismatch('ERR_INVALID_ARG', 'an integer from 1 on', describe(value));
}

const typeChecks = {
  Int8Array: types.isInt8Array,
  Int32Array: types.isInt32Array,
  Float32Array: types.isFloat32Array,
} as const;

type TensorSpec = readonly [name: string, type: keyof typeof typeChecks, count: number];

function tensorSpecs({ precision, tensors }: QuantizedLayer): readonly TensorSpec[] {
  const integers = { weight: 'Int8Array', bias: 'Int32Array' } as const;
  const specs = tensors.map(({ key, dims }): TensorSpec => {
    return [key, precision === 'int8' ? integers[key as 'weight'] : 'Float32Array', sizeOf(dims)];
  });
  const [, bias] = precision === 'int8' ? specs : [];
  return bias ? [...specs, ['weightScale', 'Float32Array', bias[2]]] : specs;
}

function checkTensors(layer: QuantizedLayer): void {
  const tensors = layer as unknown as Record<string, { length: number }>;
  for (const [name, type, count] of tensorSpecs(layer)) {
    const tensor = tensors[name];
    if (!typeChecks[type](tensor)) {
      throw mismatch('ERR_INVALID_ARG', name, `values of type ${type}`, describe(tensor));
    }
    if (tensor.length === count) continue;
    throw mismatch('ERR_QUANT_PARAM', name, `${count} numbers`, String(tensor.length));
  }
}

/** Checks scales and zero points of all values between layers. */
function checkActivations(layers: readonly QuantizedLayer[], output: QuantizationParameters | undefined): void {
  for (const layer of layers) {
    if (layer.precision === 'int8') within(`layer ${layer.name}, input`, () => checkParameters(layer.input));
  }
  if (!output) return;
  within('output', () => checkParameters(output));
  if (layers.at(-1)?.precision === 'int8') return;
  throw mismatch('ERR_QUANT_PARAM', 'output', 'a last layer in integers', 'one in float');
}

/** Checks a layer in integers, and its scales together with those of its output. */
function checkInteger(
  layer: Extract<QuantizedLayer, { precision: 'int8' }>,
  output: QuantizationParameters | undefined,
): void {
  if (layer.kind === 'globalAverage') {
    if (output) return;
    throw mismatch('ERR_QUANT_PARAM', 'a layer in integers after it', 'one in float');
  }
  checkProducts(layer, layer.input, output);
}

/**
 * Checks scales of weights together with those of input and output, and that sums fit into 32 bits.
 *
 * @param layer Weights output channel by output channel.
 * @throws {QARepVGGError} ERR_QUANT_PARAM
 */
export function checkProducts(
  layer: Pick<IntegerConv, 'weight' | 'weightScale' | 'bias'>,
  input: QuantizationParameters,
  output: QuantizationParameters | undefined,
): void {
  layer.weightScale.forEach((scale, channel) => {
    const product = Math.fround(scale * input.scale);
    const hasQuotient = !output || Number.isFinite(Math.fround(product / output.scale));
    if (hasQuotient && isScale(scale) && isScale(product)) return;
    const place = `weight scale ${channel}`;
    within(place, () => checkScale(scale));
    within(`${place} times input scale`, () => checkScale(product));
    throw mismatch('ERR_QUANT_PARAM', place, 'a finite quotient of it and the output scale', String(output?.scale));
  });
  const found = excessiveSum(layer.weight, layer.bias);
  if (!found) return;
  const received = `weights of output channel ${found.output} whose sums can reach ${found.largest}`;
  throw mismatch('ERR_QUANT_PARAM', 'sums below 2^31', received);
}

/** Checks a scale and a zero point. @throws {QARepVGGError} ERR_QUANT_PARAM */
export function checkParameters({ scale, zeroPoint }: QuantizationParameters): void {
  within('scale', () => checkScale(scale));
  if (Number.isInteger(zeroPoint) && zeroPoint >= 0 && zeroPoint <= 255) return;
  throw mismatch('ERR_QUANT_PARAM', 'zero point', 'an integer from 0 to 255', String(zeroPoint));
}

function checkScale(scale: number): void {
  if (typeof scale === 'number' && isScale(scale)) return;
  throw mismatch('ERR_QUANT_PARAM', 'a float32 value, normal and above 0', String(scale));
}

function isScale(value: number): boolean {
  return Math.fround(value) === value && isNormal(value);
}
