import type { TrainedActivation } from '../../../binding';
import { mismatch } from '../../errors';
import type { Attributes, Graph } from '../../graph/graph';
import { squeezeExciteNames } from '../blocks/squeeze-excite';
import type { Definition } from '../core';
import type { SlotSpec, Store } from '../state/state';

/** What the tensors of each kind of step are to it, in the order of the node's inputs. */
export const stepKeys = {
  conv: ['weight', 'bias'],
  globalAverage: [],
  squeezeExcite: squeezeExciteNames,
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type StepKind = keyof typeof stepKeys;

/** A node of a graph in deploy form, which reads the output of the node before. A linear layer is a convolution of one pixel. */
export interface StepOf<K extends StepKind> {
  readonly kind: K;
  /** Name of the block or layer: "stage1.0", "linear". */
  readonly name: string;
  /** Under their names in ONNX: strides, pads, dilations, group. */
  readonly attributes: Attributes;
  readonly activation: TrainedActivation;
  /** In the order of the node's inputs: of a convolution, the weight and the bias. */
  readonly tensors: TensorsFor<(typeof stepKeys)[K]>;
}

export type Step = { readonly [K in StepKind]: StepOf<K> }[StepKind];

type TensorsFor<Keys extends readonly unknown[]> = { readonly [I in keyof Keys]: StepTensor };

/** A tensor of a step. */
export interface StepTensor {
  readonly key: (typeof stepKeys)[StepKind][number];
  /** In the state dict, which may not have the bias of a convolution. */
  readonly name: string;
  /** In the state dict: the weight of a linear layer has two. */
  readonly dims: readonly number[];
}

/** Returns the numbers of a tensor, if it exists. */
export type TensorReader = (tensor: StepTensor) => Float32Array | undefined;

/** Whether a step is a linear layer. */
export function isLinear({ kind, tensors: [weight] }: Step): boolean {
  return kind === 'conv' && weight?.dims.length === 2;
}

/** Channels of the output of steps; nothing without a convolution. */
export function outChannelsOf(steps: readonly Step[]): number | undefined {
  return steps.findLast(({ kind }) => kind === 'conv')?.tensors[0]?.dims[0];
}

/** The operator of the node of a step. */
export function opOfStep({ kind }: Step): string {
  return kind === 'globalAverage' ? 'globalAveragePool' : kind;
}

/** The steps of a graph in deploy form. @param slots Tensors of its state. */
export function stepsOf({ nodes }: Graph, slots: readonly SlotSpec[]): Step[] {
  const state = new Map(slots.map(({ name, dims }) => [name, dims]));
  return nodes.map(({ name, op, attributes, activation, inputs: [, ...names] }) => {
    const kind = op === 'globalAveragePool' ? 'globalAverage' : (op as StepKind);
    const [first = ''] = names;
    const tensors: readonly StepTensor[] = stepKeys[kind].map((key, i) => {
      const tensor = names[i] ?? prefixOf(first) + key;
      // An absent bias has the rows of the weight.
      return { key, name: tensor, dims: state.get(tensor) ?? (state.get(first) as number[]).slice(0, 1) };
    });
    return { kind, name, attributes, activation: activation ? 'relu' : 'none', tensors } as Step;
  });
}

/** "stage1.0.rbr_reparam." for "stage1.0.rbr_reparam.weight", nothing for "weight". */
export function prefixOf(name: string): string {
  return name.slice(0, name.lastIndexOf('.') + 1);
}

/** Reads the tensors of a state, those that it has. */
export function stateReader(store: Store): TensorReader {
  return ({ name }) => (store.has(name) ? store.view(name) : undefined);
}

/**
 * The steps of a module, whose state may be read.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a module that is not in deploy form, ERR_BUFFER_DETACHED
 */
export function deploySteps(definition: Definition): Step[] {
  checkDeployed(definition);
  return stepsOf(definition.graph(), definition.store.slots);
}

/** @throws {QARepVGGError} the errors of {@link deploySteps} */
export function checkDeployed({ form = 'deploy', store }: Definition): void {
  store.checkAttached();
  if (form === 'deploy') return;
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
