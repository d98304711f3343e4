import { describe, mismatch } from '../errors';
import {
  boolean,
  type Field,
  integer,
  number,
  oneOf,
  optional,
  type Parsed,
  parseOptions,
  positive,
  readForeign,
  seedField,
  wrongOption,
} from '../options';

/** Options of {@link Trainer}. */
export interface TrainerOptions {
  /** 'sgd': stochastic gradient descent as in PyTorch. 'adamw': Adam with decoupled weight decay. @default 'sgd' */
  readonly optimizer?: 'sgd' | 'adamw';
  /** The highest learning rate, which the warm-up ends at. @default 0.1 for sgd, 0.001 for adamw */
  readonly lr?: number;
  /** Momentum of sgd (dampening 0), or the first beta of adamw. From 0 to below 1. @default 0.9 */
  readonly momentum?: number;
  /** Nesterov's momentum, for sgd with a momentum above 0. @default false */
  readonly nesterov?: boolean;
  /** The second beta of adamw. From 0 to below 1. @default 0.999 */
  readonly beta2?: number;
  /** Keeps adamw from dividing by zero. @default 1e-8 */
  readonly epsilon?: number;
  /**
   * Weight decay. It applies to the weights of convolutions and linear layers, not to biases and batch norms.
   * @default 1e-4 for sgd, 0.01 for adamw
   */
  readonly weightDecay?: number;
  /**
   * Use the custom L2 of RepVGG (paper of QARepVGG, algorithm 1) instead of plain weight decay on the 3x3 and 1x1 of every
   * block. The variant must have a batch norm on both. @default true for variant S0, which is defined by it, else false
   */
  readonly customL2?: boolean;
  /** Share of each label that is spread over all classes, from 0 to below 1. @default 0 */
  readonly labelSmoothing?: number;
  /** Upper limit of the L2 norm of all gradients together, above 0. @default none */
  readonly clipNorm?: number;
  /**
   * The learning rate after the warm-up: it stays ('constant'), falls along half a cosine to 0 ('cosine'), or is multiplied by
   * `gamma` at each milestone ('step'). @default 'constant'
   */
  readonly schedule?: 'constant' | 'cosine' | 'step';
  /** Share of all steps, from 0 to below 1, during which the learning rate rises linearly. @default 0 */
  readonly warmup?: number;
  /** Shares of all steps, from 0 to 1, at which 'step' lowers the learning rate. @default [0.3, 0.6, 0.9] */
  readonly milestones?: readonly number[];
  /** What 'step' multiplies the learning rate by. @default 0.1 */
  readonly gamma?: number;
  /** How many steps the training has. Callers of `step` set it for a schedule; `fit` knows it. */
  readonly steps?: number;
  /** Seed of the order of images, and of flips and shifts. @default 0 */
  readonly seed?: number;
  /** Upper limit of threads, 1 to 1024. The result does not depend on it. @default info().threads */
  readonly threads?: number;
}

/** The largest float32. */
const maxFloat = (2 - 2 ** -23) * 2 ** 127;

const belowOne: Field<number> = number(0, 1 - Number.EPSILON / 2, 0);

const fields = {
  optimizer: oneOf(['sgd', 'adamw'], 'sgd'),
  lr: optional(number(0, 1e6, 0, { open: true })),
  momentum: withDefault(belowOne, 0.9),
  nesterov: boolean(false),
  beta2: withDefault(belowOne, 0.999),
  epsilon: positive(1, 1e-8),
  weightDecay: optional(number(0, 1e6, 0)),
  customL2: optional(boolean(false)),
  labelSmoothing: belowOne,
  clipNorm: optional(positive(maxFloat, 1)),
  schedule: oneOf(['constant', 'cosine', 'step'], 'constant'),
  warmup: belowOne,
  milestones: readMilestones,
  gamma: number(0, 1, 0.1),
  steps: optional(integer(1, Number.MAX_SAFE_INTEGER)),
  seed: seedField,
  threads: optional(integer(1, 1024)),
};

/** Checked options with their defaults filled in. */
export type CheckedTrainerOptions = Parsed<typeof fields> & { readonly lr: number; readonly weightDecay: number };

/** @throws {QARepVGGError} ERR_INVALID_ARG naming the option. */
export function checkTrainerOptions(options: unknown): CheckedTrainerOptions {
  const checked = parseOptions(fields, options);
  if (checked.nesterov && (checked.optimizer !== 'sgd' || checked.momentum === 0)) {
    // PyTorch refuses it, too.
    throw wrongOption('nesterov', 'false but for sgd with a momentum above 0', 'true');
  }
  const [lr, weightDecay] = checked.optimizer === 'sgd' ? [0.1, 1e-4] : [1e-3, 1e-2];
  return Object.freeze({ ...checked, lr: checked.lr ?? lr, weightDecay: checked.weightDecay ?? weightDecay });
}

function withDefault<T>(field: Field<T>, fallback: T): Field<T> {
  return (value = fallback) => field(value);
}

function readMilestones(value: unknown): readonly number[] {
  const list = value === undefined ? [0.3, 0.6, 0.9] : readForeign(() => (Array.isArray(value) ? [...value] : []));
  const rises = list.every(
    (share: unknown, i) => typeof share === 'number' && share >= 0 && share <= 1 && (i === 0 || share > list[i - 1]),
  );
  if (list.length > 0 && rises) return Object.freeze(list as number[]);
  throw mismatch(
    'ERR_INVALID_ARG',
    'an array of numbers from 0 to 1, each larger than the one before',
    describe(value),
  );
}
