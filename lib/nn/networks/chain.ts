import type { TrainedActivation } from '../../../binding';
import { mismatch } from '../../errors';
import { type ConvGeometry, convGeometry, weightDims } from '../blocks/branches';
import { type BlockLayer, type ClassifierLayer, type Layer, linearGeometry } from '../blocks/layers';
import {
  type SqueezeExciteTensors,
  squeezeExciteDims,
  squeezeExciteKeys,
  squeezeExciteNames,
} from '../blocks/squeeze-excite';
import type { FusedBranch } from '../blocks/structure';
import type { Definition } from '../core';

/**
 * A model in deploy form is a chain of steps, each of which reads the output of the step before. Steps name their tensors
 * like the state dict.
 */
export type Step = ConvStep | GlobalAverageStep | SqueezeExciteStep;

/** Sizes of a convolution. A linear layer is a 1x1 convolution of one pixel. */
export interface ConvShape extends ConvGeometry {
  readonly inChannels: number;
  readonly activation: TrainedActivation;
}

export interface ConvStep extends ConvShape {
  readonly kind: 'conv';
  /** Name of the block or layer: "stage1.0", "linear". */
  readonly name: string;
  readonly weightName: string;
  /** Dims of the weight in the state dict: two for a linear layer, else four. */
  readonly weightDims: readonly number[];
  /** The state dict may not have it. */
  readonly biasName: string;
}

/** Mean over the pixels of each channel. */
export interface GlobalAverageStep {
  readonly kind: 'globalAverage';
  readonly name: string;
}

export interface SqueezeExciteStep {
  readonly kind: 'squeezeExcite';
  /** "stage1.0.se" */
  readonly name: string;
  readonly channels: number;
  readonly reduced: number;
  readonly activation: TrainedActivation;
  /** Names of the weights and biases of its two linear layers. */
  readonly names: SqueezeExciteTensors<string>;
}

/** Whether a step is a linear layer. */
export function isLinear(step: Step): step is ConvStep {
  return step.kind === 'conv' && step.weightDims.length === 2;
}

/** A tensor of a step. */
export interface StepTensor {
  /** What it is to the step; {@link SqueezeExciteTensors} has the others. */
  readonly key: 'weight' | 'bias' | keyof SqueezeExciteTensors<unknown>;
  /** In the state dict. */
  readonly name: string;
  readonly dims: readonly number[];
}

/** Returns the numbers of a tensor, if it exists. */
export type TensorReader = (tensor: StepTensor) => Float32Array | undefined;

/** The tensors of a step, in the order of the op's arguments. */
export function stepTensors(step: Step): readonly StepTensor[] {
  if (step.kind === 'globalAverage') return [];
  if (step.kind === 'conv') {
    return [
      { key: 'weight', name: step.weightName, dims: step.weightDims },
      { key: 'bias', name: step.biasName, dims: [step.outChannels] },
    ];
  }
  const dims = squeezeExciteDims(step.channels, step.reduced);
  return squeezeExciteNames.map((key) => ({ key, name: step.names[key], dims: dims[key] }));
}

/** The steps of layers that are in deploy form. */
export function stepsOf(layers: readonly Layer[]): Step[] {
  return layers.flatMap((layer) => (layer.kind === 'block' ? blockSteps(layer) : classifierSteps(layer)));
}

function blockSteps({ name, block }: BlockLayer): Step[] {
  const { branches, inChannels, outChannels, activation, squeezeExcite } = block;
  const [{ kernel, weight, bias }] = branches as [FusedBranch];
  const conv: ConvStep = {
    kind: 'conv',
    name,
    inChannels,
    ...convGeometry(block, kernel),
    activation: squeezeExcite ? 'none' : activation,
    weightName: weight,
    weightDims: weightDims(block, kernel),
    biasName: bias,
  };
  if (!squeezeExcite) return [conv];
  const { reduced, name: excite } = squeezeExcite;
  const names = squeezeExciteKeys(squeezeExcite);
  return [conv, { kind: 'squeezeExcite', name: excite, channels: outChannels, reduced, activation, names }];
}

function classifierSteps({ name, features, classes }: ClassifierLayer): Step[] {
  const pool: GlobalAverageStep = { kind: 'globalAverage', name: 'pool' };
  return [
    pool,
    {
      kind: 'conv',
      name,
      inChannels: features,
      ...linearGeometry(classes),
      activation: 'none',
      weightName: `${name}.weight`,
      weightDims: [classes, features],
      biasName: `${name}.bias`,
    },
  ];
}

/** Reads the tensors of a state, those that it has. */
export function stateReader(store: Definition['store']): TensorReader {
  return ({ name }) => (store.has(name) ? store.view(name) : undefined);
}

/**
 * The steps of a module, whose state may be read.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a module that is not in deploy form, ERR_BUFFER_DETACHED
 */
export function deploySteps({ steps, store }: Definition): readonly Step[] {
  store.checkAttached();
  if (steps) return steps;
  const received = 'one with branches or batch norms; call model.eval().switchToDeploy() first';
  throw mismatch('ERR_MODEL_INCOMPATIBLE', 'a model in deploy form', received);
}

/**
 * Says which steps compute in integers: all convolutions except those in `keepFloat`, and averages between two of these.
 * Squeeze-and-excitations never do.
 */
export function integerSteps(steps: readonly Pick<Step, 'kind' | 'name'>[], keepFloat: readonly string[]): boolean[] {
  const convs = steps.map(({ kind, name }) => kind === 'conv' && !keepFloat.includes(name));
  return steps.map(({ kind }, i) =>
    kind === 'globalAverage' ? convs[i - 1] === true && convs[i + 1] === true : convs[i] === true,
  );
}
