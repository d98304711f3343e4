import { inspect, types } from 'node:util';
import { describe, mismatch } from '../errors';
import { checkWritable } from '../formats/atomic';
import type { Dataset } from '../formats/dataset';
import { type FileSource, ownSource } from '../formats/sources';
import { type Network, networkCoreOf } from '../nn/networks/network';
import { readForeign } from '../options';
import { asImages, type TensorLike } from '../tensor';
import { refuseClones } from '../uncloneable';
import { loadCheckpoint, saveCheckpoint } from './checkpoint';
import { Engine } from './engine';
import { Fit, type FitResult, type Position } from './fit';
import { type FitOptions, readFitOptions } from './fit-options';
import { type CheckedTrainerOptions, checkTrainerOptions, type TrainerOptions } from './options';
import { learningRateAt } from './schedule';

/** What a training step tells. */
export interface StepReport {
  /** Mean cross-entropy of the batch before the step, label smoothing included. */
  readonly loss: number;
  /** Share of the batch whose largest logit was that of its class. */
  readonly accuracy: number;
  /** What the step was taken with. */
  readonly learningRate: number;
  /** How many steps have been taken, this one included. */
  readonly step: number;
}

/**
 * Trains a network on labelled images: forward, cross-entropy, backward and optimiser in one native call per step, off the
 * JavaScript thread. The same seed leads to the same bits on any number of threads.
 *
 * A trainer has a copy of the weights. The network has the new ones after each {@link step}, and during {@link fit} at the
 * end of every epoch. Weights that `loadStateDict` puts into the network are taken over; what is written to `parameters()`
 * is not.
 *
 * @example
 * const model = createModel('qarepvgg_a0', { numClasses: 10, inChannels: 1, inputSize: 28 });
 * const trainer = new Trainer(model, { lr: 0.1, schedule: 'cosine', warmup: 0.05 });
 * await trainer.fit(dataset, { epochs: 30, batchSize: 128, flip: true, shift: 2, validation: test });
 * await saveModel(model, 'model.safetensors');
 */
export class Trainer {
  readonly #options: CheckedTrainerOptions;
  readonly #engine: Engine;
  #position: Position | undefined;
  #isBusy = false;

  /**
   * @param model In train or partial form; its mode does not matter.
   * @throws {QARepVGGError} ERR_INVALID_ARG naming the option; ERR_INVALID_STATE for a network in deploy form.
   */
  constructor(model: Network, options: TrainerOptions = {}) {
    const core = networkCoreOf(model, 'Trainer');
    if (core.form === 'deploy') {
      const received = 'one in deploy form, which does not learn well; train first and re-parameterise afterwards';
      throw mismatch('ERR_INVALID_STATE', 'Trainer', 'a network in train or partial form', received);
    }
    this.#options = checkTrainerOptions(options, 'Trainer');
    this.#engine = new Engine(model, this.#options);
    refuseClones(this);
  }

  /** Steps taken, those before a checkpoint that was loaded included. */
  get stepCount(): number {
    return Trainer.#check(this, 'Trainer.stepCount').#engine.stepCount;
  }

  /**
   * One step on a batch of images [n, c, h, w], which the preprocessing of the network has been applied to, and the class of
   * each.
   *
   * @throws {QARepVGGError} (rejects) ERR_SHAPE, ERR_DTYPE, ERR_BUFFER_* for images; ERR_SHAPE, ERR_INVALID_ARG for labels;
   * ERR_NON_FINITE when the loss or a gradient is not finite, and then nothing has changed; ERR_BUSY while another step is
   * pending; ERR_INVALID_STATE when the schedule needs the option `steps` and does not have it, or when the network has
   * changed its form; ERR_OUT_OF_MEMORY.
   *
   * @example
   * const { loss } = await trainer.step(randn([8, 3, 224, 224]), [0, 3, 2, 2, 9, 1, 0, 5]);
   */
  async step(images: TensorLike, labels: readonly number[] | Int32Array): Promise<StepReport> {
    const where = 'Trainer.step';
    const trainer = Trainer.#check(this, where);
    return trainer.#alone(where, async () => {
      const { options } = trainer.#engine.model;
      const { data, dims } = asImages(images, options.inChannels, `${where}, images`);
      const classes = readLabels(labels, dims[0] as number, options.numClasses, `${where}, labels`);
      const learningRate = trainer.#learningRate(where);
      const { loss, correct } = await trainer.#engine.step(
        { images: data, dims, labels: classes, learningRate },
        where,
      );
      trainer.#engine.pull(where);
      return { loss, accuracy: correct / classes.length, learningRate, step: trainer.stepCount };
    });
  }

  /**
   * Trains on a data set, or goes on with a training that was cut off before its end: one whose checkpoint has been loaded,
   * or one of this trainer that was aborted or ended in an error. Of a training that has all its `epochs` already nothing is
   * left to do, and the result has no epochs. To start over, make a new trainer.
   *
   * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG, ERR_SHAPE for options and data sets that do not fit, or are not those
   * that the training to go on with began with; ERR_INVALID_ARG, before anything is computed, for a checkpoint that cannot be
   * written; ERR_ABORTED, with a checkpoint written; ERR_NON_FINITE when the loss or a gradient is not finite:
   * the last checkpoint is then still there; ERR_BUFFER_DETACHED for images or labels whose memory is gone; ERR_BUSY; as
   * {@link saveCheckpoint}; whatever `onProgress` throws.
   */
  async fit(dataset: Dataset, options: FitOptions): Promise<FitResult> {
    const where = 'Trainer.fit';
    const trainer = Trainer.#check(this, where);
    return trainer.#alone(where, async () => {
      const network = trainer.#engine.model.options;
      const run = readFitOptions(dataset, options, network, where);
      const fit = new Fit(trainer.#engine, { ...trainer.#options, ...run }, trainer.#position, where);
      if (run.checkpoint !== undefined) await checkWritable(run.checkpoint, 'safetensors', where);
      try {
        const result = await fit.run();
        trainer.#position = undefined;
        return result;
      } catch (error) {
        trainer.#position = fit.position;
        throw error;
      } finally {
        trainer.#engine.pull(where);
      }
    });
  }

  /**
   * Writes all that the training needs to go on: the network, the optimiser's memory, and the place in the training. The
   * file is also a model file: `loadModel` reads it.
   *
   * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG, ERR_LIMIT for the path; ERR_NON_FINITE, without touching the file, for
   * weights or an optimiser's memory that are not finite; ERR_BUSY
   */
  async saveCheckpoint(path: string | URL): Promise<void> {
    const where = 'Trainer.saveCheckpoint';
    const trainer = Trainer.#check(this, where);
    return trainer.#alone(where, () => saveCheckpoint(trainer.#engine, trainer.#position, path, where));
  }

  /**
   * Puts network, optimiser and place in the training back to what they were when the checkpoint was written. What follows
   * is bit for bit what would have followed then, if the options are the same.
   *
   * @throws {QARepVGGError} (rejects) ERR_MODEL_FORMAT for a file that is no checkpoint; ERR_MODEL_INCOMPATIBLE for one of
   * another network or optimiser; ERR_NON_FINITE naming the tensor that has other than finite numbers; ERR_INVALID_ARG for the
   * path; ERR_BUSY
   */
  async loadCheckpoint(source: FileSource): Promise<void> {
    const where = 'Trainer.loadCheckpoint';
    const trainer = Trainer.#check(this, where);
    const own = ownSource(source, where);
    return trainer.#alone(where, async () => {
      trainer.#position = await loadCheckpoint(trainer.#engine, own, where);
    });
  }

  /** "Trainer(Network(qarepvgg_a0, 3 -> 1000, S4, train form), sgd, 0 steps)" */
  toString(): string {
    const { model, optimizer } = Trainer.#check(this, 'Trainer.toString').#engine;
    return `Trainer(${model}, ${optimizer}, ${this.stepCount} steps)`;
  }

  /** What `console.log` prints. */
  [inspect.custom](): string {
    return #engine in this ? `${this}` : 'Trainer {}';
  }

  /** A method called on another object must not end in an error that names private fields. */
  static #check(trainer: unknown, where: string): Trainer {
    if (typeof trainer === 'object' && trainer !== null && #engine in trainer) return trainer;
    throw mismatch('ERR_INVALID_ARG', where, 'a trainer made by new Trainer', describe(trainer));
  }

  #learningRate(where: string): number {
    const { schedule, warmup, steps } = this.#options;
    if (steps === undefined && (schedule !== 'constant' || warmup > 0)) {
      throw mismatch('ERR_INVALID_STATE', where, 'the option steps for a schedule', 'none');
    }
    const step = Math.min(this.stepCount, (steps ?? Number.POSITIVE_INFINITY) - 1);
    return learningRateAt(this.#options, step, steps ?? 1);
  }

  async #alone<T>(where: string, work: () => Promise<T>): Promise<T> {
    if (this.#isBusy) throw mismatch('ERR_BUSY', where, 'one call at a time; await the one before', 'another');
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      this.#isBusy = false;
    }
  }
}

function readLabels(labels: unknown, count: number, classes: number, where: string): Int32Array {
  const list = readForeign(where, () =>
    Array.isArray(labels) || types.isInt32Array(labels) ? [...labels] : undefined,
  );
  if (!list) throw mismatch('ERR_INVALID_ARG', where, 'an array of class indices', describe(labels));
  if (list.length !== count) throw mismatch('ERR_SHAPE', where, `${count}, one for each image`, `${list.length}`);
  const odd = list.findIndex(
    (label: unknown) => !Number.isSafeInteger(label) || (label as number) < 0 || (label as number) >= classes,
  );
  if (odd === -1) return Int32Array.from(list as number[]);
  throw mismatch('ERR_INVALID_ARG', `${where}[${odd}]`, `an integer from 0 to ${classes - 1}`, describe(list[odd]));
}
