import type { Trainer as NativeTrainer, StepResult } from '../../binding';
import { addon } from '../binding';
import { mismatch } from '../errors';
import { traitsOfVariant } from '../nn/blocks/variants';
import type { Definition } from '../nn/core';
import { type Network, networkCoreOf } from '../nn/networks/network';
import type { CheckedTrainerOptions } from './options';
import { trainerSpec } from './spec';

/** What an optimiser keeps between steps. */
export interface OptimizerState {
  readonly memory: Float32Array;
  /** Steps taken. */
  readonly stepCount: number;
}

/** Input of one training step. */
export interface StepInput {
  /** Floats [n, c, h, w] or bytes [n, h, w, c]. */
  readonly images: Float32Array | Uint8Array;
  /** Dims [n, c, h, w] of the images. */
  readonly dims: readonly number[];
  readonly labels: Int32Array;
  readonly augment?: Int16Array | undefined;
  readonly learningRate: number;
}

/**
 * A network and the native trainer that has a copy of its weights. A native trainer is made for batches of certain dims. When
 * other dims come, weights and optimiser state move to a new one.
 */
export class Engine {
  readonly model: Network;
  readonly optimizer: CheckedTrainerOptions['optimizer'];
  readonly #core: ReturnType<typeof networkCoreOf>;
  readonly #definition: Definition;
  readonly #spec: ReturnType<typeof trainerSpec>;
  readonly #weightDecay: number;
  #native: NativeTrainer | undefined;
  #dims = '';
  /** Revision of the network's weights that the native trainer started from. */
  #revision = 0;
  /** State that the next native trainer starts from. */
  #optimizer: OptimizerState;

  /** @throws {QARepVGGError} ERR_INVALID_ARG for `customL2` where blocks have no batch norms for it. */
  constructor(model: Network, options: CheckedTrainerOptions) {
    const core = networkCoreOf(model);
    const customL2 =
      options.customL2 ?? (core.form === 'train' && traitsOfVariant(core.blueprint.options.variant).customL2 === true);
    const { preprocessing } = core.blueprint;
    this.model = model;
    this.optimizer = options.optimizer;
    this.#core = core;
    this.#definition = core.definition;
    this.#spec = trainerSpec(core.definition, core.layers, { ...options, customL2 }, preprocessing);
    this.#weightDecay = options.weightDecay;
    const moments = options.optimizer === 'adamw' ? 2 : 1;
    this.#optimizer = { memory: new Float32Array(moments * this.#spec.stateLength), stepCount: 0 };
  }

  get stepCount(): number {
    return this.#native?.stepCount ?? this.#optimizer.stepCount;
  }

  /**
   * Takes one step. The network has the new weights after {@link pull}.
   *
   * @throws {QARepVGGError} (rejects) ERR_INVALID_STATE when the network has changed its form; ERR_SHAPE for images that are
   * too small; ERR_NON_FINITE, and then nothing has changed.
   */
  async step({ images, dims, labels, augment, learningRate }: StepInput): Promise<StepResult> {
    const native = this.#prepare(dims);
    return native.step(images, labels, augment, learningRate, this.#weightDecay);
  }

  /** Copies the weights of the last step to the network. */
  pull(): void {
    if (!this.#native) return;
    this.#check();
    // Weights that were loaded into the network meanwhile take precedence.
    if (this.#revision !== this.#core.revision) return;
    this.#native.readState(this.#definition.store.values);
    this.#core.weightsChanged();
    this.#revision = this.#core.revision;
  }

  /** Returns a copy of the optimiser's state. */
  optimizerState(): OptimizerState {
    if (!this.#native) return this.#optimizer;
    const memory = new Float32Array(this.#native.optimizerLength);
    this.#native.readOptimizer(memory);
    return { memory, stepCount: this.#native.stepCount };
  }

  /** Continues from this state and the network's weights. */
  restore(state: OptimizerState): void {
    this.#optimizer = state;
    this.#native = undefined;
  }

  #check(): void {
    if (this.#core.definition !== this.#definition) {
      const received = `one in ${this.#core.form} form; make a new Trainer for it`;
      throw mismatch('ERR_INVALID_STATE', 'a network in the form that the trainer was made for', received);
    }
    this.#definition.store.checkAttached();
  }

  #prepare(dims: readonly number[]): NativeTrainer {
    this.#check();
    const { values } = this.#definition.store;
    if (!this.#native || this.#dims !== dims.join()) {
      this.pull();
      this.restore(this.optimizerState());
      this.#native = new addon.Trainer({ ...this.#spec, input: dims }, values);
      this.#native.writeOptimizer(this.#optimizer.memory);
      this.#native.stepCount = this.#optimizer.stepCount;
      this.#dims = dims.join();
    } else if (this.#revision !== this.#core.revision) {
      this.#native.writeState(values);
    }
    this.#revision = this.#core.revision;
    return this.#native;
  }
}
