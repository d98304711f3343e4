import { inspect, types } from 'node:util';
import { boundary, describe, mismatch, within } from '../errors';
import { checkWritable } from '../formats/atomic';
import type { Dataset } from '../formats/dataset';
import { type FileSource, ownSource } from '../formats/sources';
import { type Network, networkCoreOf } from '../nn/networks/network';
import { readForeign } from '../options';
import { asImages, type TensorLike } from '../tensor';
import { refuseClones } from '../uncloneable';
import type { Engine } from './engine';
import type { FitResult, Position } from './fit';
import type { FitOptions } from './fit-options';
import type { CheckedTrainerOptions, TrainerOptions } from './options';

/** Loaded with the first trainer. */
const later = (): typeof import('./later') => require('./later');

/** What a training step reports. */
export interface StepReport {
  /** Mean cross-entropy of the batch before the step, label smoothing included. */
  readonly loss: number;
  /** Share of the batch whose class had the largest logit. */
  readonly accuracy: number;
  /** Learning rate of this step. */
  readonly learningRate: number;
  /** How many steps have been taken, this one included. */
  readonly step: number;
}

/**
 * Trains a network on labelled images: forward, cross-entropy, backward and optimiser in one native call per step, off the
 * JavaScript thread. The same seed leads to the same bits on any number of threads.
 *
 * A trainer has a copy of the weights. It updates the network after each {@link step}, and during {@link fit} at the end of
 * every epoch. It notices weights that `loadStateDict` loads into the network, but not numbers written to `parameters()`.
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
    const { checked, engine } = boundary('Trainer', () => {
      const { checkTrainerOptions, Engine } = later();
      checkForm(model);
      const checked = checkTrainerOptions(options);
      return { checked, engine: new Engine(model, checked) };
    });
    this.#options = checked;
    this.#engine = engine;
    refuseClones(this);
  }

  /** Steps taken, those before a checkpoint that was loaded included. */
  get stepCount(): number {
    return boundary('Trainer.stepCount', () => Trainer.#check(this)).#engine.stepCount;
  }

  /**
   * Takes one step on a batch of images [n, c, h, w], already preprocessed as the network wants, and the class of each.
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
    return boundary('Trainer.step', async () => {
      const trainer = Trainer.#check(this);
      return trainer.#alone(async () => {
        const { options } = trainer.#engine.model;
        const { data, dims } = within('images', () => asImages(images, options.inChannels));
        const classes = within('labels', () => readLabels(labels, dims[0] as number, options.numClasses));
        const learningRate = trainer.#learningRate();
        const { loss, correct } = await trainer.#engine.step({ images: data, dims, labels: classes, learningRate });
        trainer.#engine.pull();
        return { loss, accuracy: correct / classes.length, learningRate, step: trainer.stepCount };
      });
    });
  }

  /**
   * Trains on a data set, or resumes a training that did not finish: one whose checkpoint has been loaded, or one of this trainer
   * that was aborted or failed. If all `epochs` are done already, nothing is computed and the result has no epochs. To start
   * over, make a new trainer.
   *
   * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG, ERR_SHAPE for options and data sets that do not fit, or that differ from
   * those of the training to resume; ERR_INVALID_ARG, before anything is computed, for a checkpoint that cannot be written;
   * ERR_ABORTED, after the checkpoint has been written; ERR_NON_FINITE when the loss or a gradient is not finite, which leaves
   * the last checkpoint as it is; ERR_BUFFER_DETACHED for images or labels whose memory was transferred away; ERR_BUSY; the
   * errors of {@link saveCheckpoint}; whatever `onProgress` throws.
   */
  async fit(dataset: Dataset, options: FitOptions): Promise<FitResult> {
    return boundary('Trainer.fit', async () => {
      const trainer = Trainer.#check(this);
      return trainer.#alone(async () => {
        const network = trainer.#engine.model.options;
        const { Fit, readFitOptions } = later();
        const run = readFitOptions(dataset, options, network);
        const fit = new Fit(trainer.#engine, { ...trainer.#options, ...run }, trainer.#position);
        if (run.checkpoint !== undefined) await checkWritable(run.checkpoint, 'safetensors');
        try {
          const result = await fit.run();
          trainer.#position = undefined;
          return result;
        } catch (error) {
          trainer.#position = fit.position;
          throw error;
        } finally {
          trainer.#engine.pull();
        }
      });
    });
  }

  /**
   * Writes everything that is needed to resume the training: the network, the optimiser's memory, and the place in the training.
   * The file is also a model file, which `loadModel` reads.
   *
   * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG, ERR_LIMIT for the path; ERR_NON_FINITE, without touching the file, for
   * weights or an optimiser's memory that are not finite; ERR_BUSY
   */
  async saveCheckpoint(path: string | URL): Promise<void> {
    return boundary('Trainer.saveCheckpoint', async () => {
      const trainer = Trainer.#check(this);
      return trainer.#alone(() => later().saveCheckpoint(trainer.#engine, trainer.#position, path));
    });
  }

  /**
   * Restores network, optimiser and place in the training from a checkpoint. With the same options, the training continues with
   * the same bits as if it had not stopped.
   *
   * @throws {QARepVGGError} (rejects) ERR_MODEL_FORMAT for a file that is not a checkpoint; ERR_MODEL_INCOMPATIBLE for one of
   * another network or optimiser; ERR_NON_FINITE naming a tensor that is not finite; ERR_INVALID_ARG for the path; ERR_BUSY
   */
  async loadCheckpoint(source: FileSource): Promise<void> {
    return boundary('Trainer.loadCheckpoint', async () => {
      const trainer = Trainer.#check(this);
      const own = ownSource(source);
      return trainer.#alone(async () => {
        trainer.#position = await later().loadCheckpoint(trainer.#engine, own);
      });
    });
  }

  /** "Trainer(Network(qarepvgg_a0, 3 -> 1000, S4, train form), sgd, 0 steps)" */
  toString(): string {
    const { model, optimizer } = boundary('Trainer.toString', () => Trainer.#check(this)).#engine;
    return `Trainer(${model}, ${optimizer}, ${this.stepCount} steps)`;
  }

  /** What `console.log` prints. */
  [inspect.custom](): string {
    return #engine in this ? `${this}` : 'Trainer {}';
  }

  /** Without it, a method called on another object would end in an error about private fields. */
  static #check(trainer: unknown): Trainer {
    if (typeof trainer === 'object' && trainer !== null && #engine in trainer) return trainer;
    throw mismatch('ERR_INVALID_ARG', 'a trainer made by new Trainer', describe(trainer));
  }

  #learningRate(): number {
    const { schedule, warmup, steps } = this.#options;
    if (steps === undefined && (schedule !== 'constant' || warmup > 0)) {
      throw mismatch('ERR_INVALID_STATE', 'the option steps for a schedule', 'none');
    }
    const step = Math.min(this.stepCount, (steps ?? Number.POSITIVE_INFINITY) - 1);
    return later().learningRateAt(this.#options, step, steps ?? 1);
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isBusy) throw mismatch('ERR_BUSY', 'one call at a time; await the one before', 'another');
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      this.#isBusy = false;
    }
  }
}

function checkForm(model: Network): void {
  if (networkCoreOf(model).form !== 'deploy') return;
  const received = 'one in deploy form, which does not learn well; train first and re-parameterise afterwards';
  throw mismatch('ERR_INVALID_STATE', 'a network in train or partial form', received);
}

function readLabels(labels: unknown, count: number, classes: number): Int32Array {
  const list = readForeign(() => (Array.isArray(labels) || types.isInt32Array(labels) ? [...labels] : undefined));
  if (!list) throw mismatch('ERR_INVALID_ARG', 'an array of class indices', describe(labels));
  if (list.length !== count) throw mismatch('ERR_SHAPE', `${count}, one for each image`, `${list.length}`);
  const odd = list.findIndex(
    (label: unknown) => !Number.isSafeInteger(label) || (label as number) < 0 || (label as number) >= classes,
  );
  if (odd === -1) return Int32Array.from(list as number[]);
  throw mismatch('ERR_INVALID_ARG', `[${odd}]`, `an integer from 0 to ${classes - 1}`, describe(list[odd]));
}
