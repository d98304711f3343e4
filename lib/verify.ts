import { boundary, describe, describeList, mismatch, within } from './errors';
import { Model } from './model/model';
import { coreOf, type ModuleCore } from './nn/core';
import type { Module } from './nn/module';
import { anything, integer, optional, parseOptions, readForeign, seedField, wrongOption } from './options';
import { Random } from './random';
import { asImages, randn, readDims, type Tensor, type TensorLike } from './tensor';
import { type ModelVerifyOptions, verifyModels } from './verify-models';

/** How much the outputs of b differ from those of a, at worst over all inputs. */
export interface Difference {
  readonly name: string;
  /** max |a - b| */
  readonly maxAbsolute: number;
  /** max |a - b| / max |a|, both over the whole output: the largest error against the output's magnitude. */
  readonly maxRelative: number;
  /** |a - b| / |a|, Euclidean norms over the whole output. The measure to judge by: it does not grow with the output. */
  readonly relativeL2: number;
}

/** Result of {@link verifyEquivalence}. */
export interface EquivalenceReport {
  /** Number of inputs compared. */
  readonly samples: number;
  /**
   * One entry for each block, and one for the classifier of a network: each compared alone, on the output of the
   * blocks of `a` before it. A single block or layer has one entry, and so do modules of different depths.
   */
  readonly blocks: readonly Difference[];
  readonly whole: Difference;
}

/** Options of {@link verifyEquivalence}. */
export interface VerifyOptions {
  /** Number of random inputs. @default 4 */
  readonly samples?: number;
  /** Seed of the random inputs, which are normal deviates. @default 0 */
  readonly seed?: number;
  /** Dims of the random inputs. @default [1, inChannels, height, width] with the network's inputSize, or 32 x 32 */
  readonly inputDims?: readonly number[];
  /** Compare on these inputs instead of on random ones. */
  readonly inputs?: readonly TensorLike[];
}

const fields = {
  samples: integer(1, 10_000, 4),
  seed: seedField,
  inputDims: optional(readDims),
  inputs: anything,
};

/**
 * Runs two modules on the same inputs, in eval mode, and measures how much they differ; `a` is the reference.
 *
 * @throws {QARepVGGError} ERR_INVALID_STATE when one is in training mode (its output depends on the batch);
 * ERR_SHAPE when they do not map the same inputs to outputs of the same dims; ERR_NON_FINITE when an output is not
 * finite, and a difference has no meaning.
 *
 * @example
 * const { whole } = verifyEquivalence(block.eval(), block.reparameterize(), { seed: 7 });
 * if (whole.relativeL2 > 1e-5) throw new Error(`fusion is off by ${whole.relativeL2}`);
 */
export function verifyEquivalence(a: Module, b: Module, options?: VerifyOptions): EquivalenceReport;
/**
 * The same for two models of other origin, run in sessions with the strict algorithm; `blocks` has an entry for each output.
 *
 * @throws {QARepVGGError} (rejects) ERR_MODEL_INCOMPATIBLE when their inputs or outputs have other names; ERR_SHAPE,
 * ERR_NON_FINITE.
 *
 * @example
 * const { whole } = await verifyEquivalence(await importOnnx<Model>('a.onnx'), await importOnnx<Model>('b.onnx'));
 */
export function verifyEquivalence(a: Model, b: Model, options?: ModelVerifyOptions): Promise<EquivalenceReport>;
export function verifyEquivalence(
  a: Module | Model,
  b: Module | Model,
  options: VerifyOptions | ModelVerifyOptions = {},
): EquivalenceReport | Promise<EquivalenceReport> {
  if (a instanceof Model && b instanceof Model) return verifyModels(a, b, options as ModelVerifyOptions);
  return verifyModules(a as Module, b as Module, options as VerifyOptions);
}

function verifyModules(a: Module, b: Module, options: VerifyOptions): EquivalenceReport {
  return boundary('verifyEquivalence', () => {
    const first = within('first module', () => evalCore(a));
    const second = within('second module', () => evalCore(b));
    const { inChannels, inputSize = [32, 32] } = first.definition;
    const checked = parseOptions(fields, options);
    const { inputDims = [1, inChannels, ...inputSize], samples, seed } = checked;
    const inputs =
      checked.inputs === undefined ? randomInputs(inputDims, samples, seed) : readInputs(checked.inputs, inChannels);

    const { difference: whole } = compare(first, second, inputs);
    const [parts, others] = [first.parts(), second.parts()];
    if (parts.length === 1 || parts.length !== others.length) return { samples: inputs.length, blocks: [whole], whole };
    let flowing = inputs;
    const blocks = parts.map((part, i) => {
      const { difference, outputs } = compare(part, others[i] as ModuleCore, flowing);
      flowing = outputs;
      return difference;
    });
    return { samples: inputs.length, blocks, whole };
  });
}

/** The worst difference over all inputs, and the outputs of `a`. */
function compare(a: ModuleCore, b: ModuleCore, inputs: readonly Tensor[]) {
  const outputs = inputs.map((input) => a.forward(input, false));
  const differences = inputs.map((input, i) => compareOutputs(a.name, outputs[i] as Tensor, b.forward(input, false)));
  return { difference: differences.reduce(worse), outputs };
}

function evalCore(module: Module): ModuleCore {
  const core = coreOf(module);
  if (core.training) {
    throw mismatch('ERR_INVALID_STATE', 'a module in eval mode', 'one in training mode; call eval() first');
  }
  return core;
}

function readInputs(inputs: unknown, channels: number): Tensor[] {
  const list = within('option inputs', () => readForeign(() => (Array.isArray(inputs) ? [...inputs] : inputs)));
  if (!Array.isArray(list) || list.length === 0) {
    throw wrongOption('inputs', 'an array of at least one tensor', describe(list));
  }
  return list.map((input: unknown, i) => within(`inputs[${i}]`, () => asImages(input, channels)));
}

function randomInputs(dims: readonly number[], samples: number, seed: number): Tensor[] {
  const random = new Random(seed);
  return Array.from({ length: samples }, () => randn(dims, { seed: random.bits() }));
}

/**
 * The difference of two outputs.
 *
 * @throws {QARepVGGError} ERR_SHAPE, ERR_NON_FINITE as {@link verifyEquivalence}.
 */
export function compareOutputs(name: string, a: Tensor, b: Tensor): Difference {
  if (a.dims.join() !== b.dims.join()) {
    throw mismatch('ERR_SHAPE', 'output dims', describeList(a.dims), describeList(b.dims));
  }
  let maxAbsolute = 0;
  let maxMagnitude = 0;
  let squares = 0;
  let differences = 0;
  a.data.forEach((expected, i) => {
    const difference = expected - (b.data[i] as number);
    if (!Number.isFinite(difference)) {
      throw mismatch('ERR_NON_FINITE', `output[${i}]`, 'finite numbers', `${expected} and ${b.data[i]}`);
    }
    maxAbsolute = Math.max(maxAbsolute, Math.abs(difference));
    maxMagnitude = Math.max(maxMagnitude, Math.abs(expected));
    squares += expected ** 2;
    differences += difference ** 2;
  });
  return {
    name,
    maxAbsolute,
    maxRelative: ratio(maxAbsolute, maxMagnitude),
    relativeL2: ratio(Math.sqrt(differences), Math.sqrt(squares)),
  };
}

/** Two outputs of zeros alone do not differ. */
function ratio(difference: number, magnitude: number): number {
  return difference === 0 ? 0 : difference / magnitude;
}

/** The larger of each measure, under the name of the first. */
export function worse(a: Difference, b: Difference): Difference {
  return {
    name: a.name,
    maxAbsolute: Math.max(a.maxAbsolute, b.maxAbsolute),
    maxRelative: Math.max(a.maxRelative, b.maxRelative),
    relativeL2: Math.max(a.relativeL2, b.relativeL2),
  };
}
