import type { ConvGeometry, ConvOp, GlobalAverageOp, Op, SqueezeExciteOp, StateOffset } from '../../../binding';
import { mismatch } from '../../errors';
import type { Slot } from '../state/state';

/**
 * A model in deploy form is a chain of steps, each of which reads the output of the step before. Steps name their tensors
 * like the state dict.
 */
export type Step = ConvStep | GlobalAverageStep | SqueezeExciteStep;

/** Sizes of a convolution. A linear layer is a 1x1 convolution of one pixel. */
export interface ConvShape extends ConvGeometry {
  readonly inChannels: number;
  /** Followed by a ReLU. */
  readonly relu: boolean;
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
  readonly relu: boolean;
  /** Names of the weights and biases of its two linear layers. */
  readonly names: SqueezeExciteTensors<string>;
}

/** Something for each of the four tensors of a squeeze-and-excitation. */
export type SqueezeExciteTensors<T> = Readonly<Record<'downWeight' | 'downBias' | 'upWeight' | 'upBias', T>>;

/** The four tensors of a squeeze-and-excitation, in the order of the state. */
export const squeezeExciteNames = ['downWeight', 'downBias', 'upWeight', 'upBias'] as const;

/** Whether a step is a linear layer. */
export function isLinear(step: Step): step is ConvStep {
  return step.kind === 'conv' && step.weightDims.length === 2;
}

/** Names and dims of a step's float tensors, in the order of the op's arguments. */
export function stepTensors(step: Step): readonly (readonly [name: string, dims: readonly number[]])[] {
  if (step.kind === 'globalAverage') return [];
  if (step.kind === 'conv') {
    return [
      [step.weightName, step.weightDims],
      [step.biasName, [step.outChannels]],
    ];
  }
  const { channels, reduced, names } = step;
  return [
    [names.downWeight, [reduced, channels, 1, 1]],
    [names.downBias, [reduced]],
    [names.upWeight, [channels, reduced, 1, 1]],
    [names.upBias, [channels]],
  ];
}

/**
 * Returns the steps of a module.
 *
 * @param prefix Precedes the names of steps, to tell several modules apart.
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a module that is not in deploy form.
 */
export function chainOf(ops: readonly Op[], slots: readonly Slot[], where: string, prefix = ''): Step[] {
  const byOffset = new Map(slots.map((slot) => [slot.offset, slot]));
  const slotAt = (offset: StateOffset): Slot => byOffset.get(offset) as Slot;
  return deployOps(ops, where).map((op): Step => {
    if (op.op === 'conv') return convStep(op, slotAt, prefix);
    return op.op === 'globalAverage'
      ? { kind: 'globalAverage', name: `${prefix}pool` }
      : squeezeExciteStep(op, slotAt, prefix);
  });
}

type DeployOp = ConvOp | GlobalAverageOp | SqueezeExciteOp;

function deployOps(ops: readonly Op[], where: string): readonly DeployOp[] {
  if (ops.every(isDeployOp)) return ops as readonly DeployOp[];
  const received = 'one with branches or batch norms; call model.eval().switchToDeploy() first';
  throw mismatch('ERR_MODEL_INCOMPATIBLE', where, 'a model in deploy form', received);
}

/** Branches show as an op that does not read the op before it, or as a sum. */
function isDeployOp(op: Op, index: number): boolean {
  return (op.op === 'conv' || op.op === 'globalAverage' || op.op === 'squeezeExcite') && op.input === index;
}

function convStep(op: ConvOp, slotAt: (offset: StateOffset) => Slot, prefix: string): ConvStep {
  const weight = slotAt(op.weight);
  const { outChannels, kernel, stride, padding, dilation, groups, relu = false } = op;
  const inChannels = (weight.dims[1] as number) * groups;
  return {
    kind: 'conv',
    name: prefix + (layerOf(weight.name) || 'conv'),
    ...{ inChannels, outChannels, kernel, stride, padding, dilation, groups, relu },
    weightName: weight.name,
    weightDims: weight.dims,
    biasName: weight.name.replace(/weight$/, 'bias'),
  };
}

function squeezeExciteStep(
  op: SqueezeExciteOp,
  slotAt: (offset: StateOffset) => Slot,
  prefix: string,
): SqueezeExciteStep {
  const down = slotAt(op.downWeight);
  const names = Object.fromEntries(squeezeExciteNames.map((name) => [name, slotAt(op[name]).name]));
  return {
    kind: 'squeezeExcite',
    name: prefix + down.name.slice(0, -'.down.weight'.length),
    channels: down.dims[1] as number,
    reduced: op.reduced,
    relu: op.relu ?? false,
    names: names as SqueezeExciteTensors<string>,
  };
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

/** "stage1.0" of "stage1.0.rbr_reparam.weight", "linear" of "linear.weight", nothing of "weight". */
function layerOf(tensor: string): string {
  return tensor.replace(/\.?(?:rbr_reparam\.)?weight$/, '');
}
