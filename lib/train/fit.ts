import { mismatch } from '../errors';
import { wrongOption } from '../options';
import { throwIfAborted } from '../runtime/abort';
import { type Batch, batchesIn, batchesOf } from './batches';
import { saveCheckpoint } from './checkpoint';
import type { Engine } from './engine';
import { evaluate } from './evaluate';
import type { CheckedFitOptions } from './fit-options';
import type { CheckedTrainerOptions } from './options';
import { learningRateAt } from './schedule';

/** Means over the batches of an epoch so far. */
interface Running {
  /** Counts from 1. */
  readonly epoch: number;
  readonly epochs: number;
  /** How many steps of this training have been taken. */
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly accuracy: number;
  /** Learning rate of the last step. */
  readonly learningRate: number;
  readonly imagesPerSecond: number;
}

/** Reported after a step. */
export interface StepProgress extends Running {
  readonly kind: 'step';
  /** Seconds that the rest of the training takes at the current speed. */
  readonly secondsLeft: number;
}

/** Reported after an epoch. */
export interface EpochProgress extends Running {
  readonly kind: 'epoch';
  readonly seconds: number;
  /** Loss and accuracy on the images of the option `validation`. */
  readonly validation?: { readonly loss: number; readonly accuracy: number };
}

export type ProgressEvent = StepProgress | EpochProgress;

/** What `Trainer.fit` resolves to. */
export interface FitResult {
  /** One entry for each epoch that this call has finished. */
  readonly epochs: readonly EpochProgress[];
}

/** What the order of images and their changes depend on. A training can resume only with the same values. */
interface Course {
  readonly seed: number;
  readonly images: number;
  readonly batchSize: number;
  readonly flip: boolean;
  readonly shift: number;
}

/** A place in a training: how many epochs are done, and how many batches of the next one. */
export interface Position {
  readonly course: Course;
  readonly epoch: number;
  readonly batch: number;
  /** Sums over the batches of the unfinished epoch. */
  readonly loss: number;
  readonly correct: number;
}

/** One call of `Trainer.fit`. */
export class Fit {
  readonly #engine: Engine;
  readonly #options: CheckedTrainerOptions & CheckedFitOptions;
  readonly #batches: number;
  #position: Position;
  #speed = new Speed();

  /** @throws {QARepVGGError} ERR_INVALID_ARG when `from` belongs to a training with another {@link Course}. */
  constructor(engine: Engine, options: CheckedTrainerOptions & CheckedFitOptions, from: Position | undefined) {
    const { seed, dataset, batchSize, flip, shift } = options;
    const course = { seed, images: dataset.length, batchSize, flip, shift };
    if (from) checkCourse(course, from.course);
    this.#engine = engine;
    this.#options = options;
    this.#batches = batchesIn(dataset, batchSize);
    this.#position = from ?? { course, epoch: 0, batch: 0, loss: 0, correct: 0 };
  }

  get position(): Position {
    return this.#position;
  }

  async run(): Promise<FitResult> {
    const epochs: EpochProgress[] = [];
    while (this.#position.epoch < this.#options.epochs) epochs.push(await this.#epoch());
    return { epochs };
  }

  async #epoch(): Promise<EpochProgress> {
    const { onProgress, dataset, batchSize, flip, shift, seed, checkpointSteps } = this.#options;
    this.#speed = new Speed();
    const { epoch, batch: first } = this.#position;
    for (const batch of batchesOf(dataset, { batchSize, seed, epoch, first, flip, shift })) {
      await this.#stopIfAborted();
      await this.#step(batch);
      const running = this.#running();
      const secondsLeft = ((running.steps - running.step) * batchSize) / running.imagesPerSecond;
      onProgress?.({ kind: 'step', ...running, secondsLeft });
      if (checkpointSteps !== undefined && running.step % checkpointSteps === 0) await this.#save();
    }
    const finished = { ...this.#running(), seconds: this.#speed.seconds };
    this.#position = { ...this.#position, epoch: epoch + 1, batch: 0, loss: 0, correct: 0 };
    await this.#save();
    const validation = await this.#validate();
    const result: EpochProgress = { kind: 'epoch', ...finished, ...(validation && { validation }) };
    onProgress?.(result);
    return result;
  }

  async #step({ images, labels, augment }: Batch): Promise<void> {
    const { batch, loss, correct } = this.#position;
    const [height, width, channels] = this.#options.dataset.dims;
    const dims = [labels.length, channels, height, width];
    const input = { images, dims, labels, augment, learningRate: this.#learningRateAfter(0) };
    const result = await this.#engine.step(input);
    this.#speed.count(labels.length);
    this.#position = {
      ...this.#position,
      batch: batch + 1,
      loss: loss + result.loss,
      correct: correct + result.correct,
    };
  }

  #running(): Running {
    const { epochs, batchSize } = this.#options;
    const { epoch, batch, loss, correct } = this.#position;
    return {
      epoch: epoch + 1,
      epochs,
      step: epoch * this.#batches + batch,
      steps: epochs * this.#batches,
      loss: loss / batch,
      accuracy: correct / (batch * batchSize),
      learningRate: this.#learningRateAfter(-1),
      imagesPerSecond: this.#speed.perSecond,
    };
  }

  /** @param offset 0 for the next step, -1 for the one before it. */
  #learningRateAfter(offset: 0 | -1): number {
    const { epoch, batch } = this.#position;
    return learningRateAt(this.#options, epoch * this.#batches + batch + offset, this.#options.epochs * this.#batches);
  }

  async #stopIfAborted(): Promise<void> {
    const { signal } = this.#options;
    if (signal?.aborted) await this.#save();
    throwIfAborted(signal);
  }

  async #save(): Promise<void> {
    this.#engine.pull();
    const { checkpoint } = this.#options;
    if (checkpoint !== undefined) await saveCheckpoint(this.#engine, this.#position, checkpoint);
  }

  async #validate(): Promise<EpochProgress['validation']> {
    const { validation, batchSize, threads, signal } = this.#options;
    if (!validation) return undefined;
    const options = { batchSize, ...(threads !== undefined && { threads }), ...(signal && { signal }) };
    const { loss, accuracy } = await evaluate(this.#engine.model, validation, options);
    return { loss, accuracy };
  }
}

/** Measures images per second since it was made. */
class Speed {
  readonly #start = performance.now();
  #images = 0;

  count(images: number): void {
    this.#images += images;
  }

  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  get perSecond(): number {
    return this.#images / this.seconds;
  }
}

function checkCourse(now: Course, then: Course): void {
  for (const name of Object.keys(then) as (keyof Course)[]) {
    if (now[name] === then[name]) continue;
    const [expected, received] = [`${then[name]}, as the training began with`, `${now[name]}`];
    if (name !== 'images') throw wrongOption(name, expected, received);
    throw mismatch('ERR_INVALID_ARG', 'images of the data set', expected, received);
  }
}
