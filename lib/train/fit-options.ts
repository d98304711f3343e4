import { describe, within } from '../errors';
import type { Dataset } from '../formats/dataset';
import { pathOf } from '../formats/sources';
import type { CheckedNetworkOptions } from '../nn/networks/network-options';
import { anything, boolean, callback, integer, optional, type Parsed, parseOptions, wrongOption } from '../options';
import { signalField } from '../runtime/abort';
import { checkDataset } from './datasets';
import type { ProgressEvent } from './fit';

/** Options of `Trainer.fit`. */
export interface FitOptions {
  /** How many times to iterate over the data set. */
  readonly epochs: number;
  /** Images per step. Each epoch skips the images that do not fill a batch. @default 64 */
  readonly batchSize?: number;
  /** Mirror about half of the images, left to right. @default false */
  readonly flip?: boolean;
  /** Shift images by up to this many pixels in each direction. @default 0 */
  readonly shift?: number;
  /** Images to evaluate the network on after each epoch; their classes must be those of the training images. */
  readonly validation?: Dataset;
  /** Called after every step and every epoch. */
  readonly onProgress?: (event: ProgressEvent) => void;
  /** Aborts the training after the current step, and writes the `checkpoint` if there is one. */
  readonly signal?: AbortSignal;
  /** File to write a checkpoint to, after every epoch and when the training is aborted. */
  readonly checkpoint?: string | URL;
  /** Also write a checkpoint after every this many steps. */
  readonly checkpointSteps?: number;
}

const fields = {
  epochs: integer(1, 1_000_000),
  batchSize: integer(1, 65_536, 64),
  flip: boolean(false),
  shift: integer(0, 4096, 0),
  validation: anything,
  onProgress: optional(callback<(event: ProgressEvent) => void>()),
  signal: signalField,
  checkpoint: optional((value) => pathOf(value)),
  checkpointSteps: optional(integer(1, Number.MAX_SAFE_INTEGER)),
};

/** Checked options, with the data set. */
export interface CheckedFitOptions extends Omit<Parsed<typeof fields>, 'validation'> {
  readonly dataset: Dataset;
  readonly validation: Dataset | undefined;
}

/** @throws {QARepVGGError} ERR_INVALID_ARG, ERR_SHAPE */
export function readFitOptions(dataset: unknown, options: unknown, network: CheckedNetworkOptions): CheckedFitOptions {
  const checked = parseOptions(fields, options);
  const images = checkDataset(dataset, network);
  if (checked.batchSize > images.length) {
    const expected = `at most ${images.length}, the size of the data set`;
    throw wrongOption('batchSize', expected, `${checked.batchSize}`);
  }
  if (checked.validation === undefined) return { ...checked, dataset: images, validation: undefined };
  const validation = within('validation', () => checkDataset(checked.validation, network));
  checkClasses(images.classes, validation.classes);
  return { ...checked, dataset: images, validation };
}

/** A label is only an index: in images from another source, the same number may mean another class. */
function checkClasses(own: readonly string[], given: readonly string[]): void {
  const expected = `images of the ${own.length} classes of those to train on`;
  if (own.length !== given.length) throw wrongOption('validation', expected, `${given.length}`);
  const at = own.findIndex((name, i) => name !== given[i]);
  if (at === -1) return;
  const received = `${describe(given[at])} as class ${at}, which is ${describe(own[at])}`;
  throw wrongOption('validation', expected, received);
}
