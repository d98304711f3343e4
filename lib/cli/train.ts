import { exists } from '../formats/files';
import { inputSizeOf, sizeOf } from '../image-size';
import {
  createModel,
  type Dataset,
  type FitOptions,
  type Network,
  type NetworkOptions,
  saveModel,
  Trainer,
  type TrainerOptions,
} from '../index';
import { defaultPreprocessing } from '../preprocessing';
import { type DataFolder, type DataOptions, type DataPart, findData, type LoadedPart, loadPart, partOf } from './data';
import { classesText, classLines, countImages, listText, skippedText } from './data-text';
import { untilInterrupted } from './interrupt';
import { networkOptions } from './network-file';
import { checkOutputs } from './outputs';
import { TrainingProgress } from './progress';
import type { TrainFlags } from './train-command';
import { misuse } from './usage';

/** Images per step without the flag, if there are as many. */
const defaultBatchSize = 64;

/** The `train` command. Resolves to false if it was stopped. */
export async function train(folder: string, flags: TrainFlags): Promise<boolean> {
  await checkFlags(folder, flags);
  const { train, validation, unused } = await openImages(folder, flags);
  const model = makeModel(train.images, flags);
  const trainer = new Trainer(model, {
    ...pick(flags, 'optimizer', 'lr', 'momentum', 'nesterov', 'weightDecay', 'labelSmoothing', 'clipNorm'),
    ...pick(flags, 'customL2', 'schedule', 'milestones', 'gamma', 'warmup', 'seed', 'threads'),
  } as TrainerOptions);
  await resume(trainer, flags);
  if (flags.json)
    process.stdout.write(`${JSON.stringify({ kind: 'data', ...summaryOf(train, validation), unused })}\n`);
  else introduce(model, train, validation, unused);

  const progress = new TrainingProgress(flags.json === true);
  const training = untilInterrupted((signal) =>
    trainer.fit(train.images, {
      ...(pick(flags, 'epochs', 'flip', 'shift', 'checkpoint') as Pick<FitOptions, 'epochs'>),
      batchSize: flags.batchSize ?? Math.min(defaultBatchSize, train.images.length),
      ...(validation && { validation: validation.images }),
      signal,
      onProgress: (event) => progress.show(event),
    }),
  );
  // Before anything else is written: the bar takes its line with it.
  const result = await training.finally(() => progress.stop());
  if (!result) {
    const kept = flags.checkpoint === undefined ? 'nothing is kept' : 'continue with --resume';
    process.stderr.write(`stopped after step ${trainer.stepCount}; ${kept}\n`);
    return false;
  }
  if (result.epochs.length === 0) {
    const done = `${flags.checkpoint} has reached --epochs ${flags.epochs} (step ${trainer.stepCount})`;
    process.stderr.write(`nothing left to do: ${done}; raise --epochs to continue\n`);
  }
  await saveModel(model, flags.out);
  if (!flags.json) process.stdout.write(`${flags.out}: ${model.eval()}\n`);
  return true;
}

/** Checks that need no data. */
async function checkFlags(folder: string, flags: TrainFlags): Promise<void> {
  const { mean, std, resume, checkpoint, out, validation, schedule } = flags;
  if ((mean === undefined) !== (std === undefined)) throw misuse('both --mean and --std', 'one of them');
  if (schedule !== 'step' && (flags.milestones ?? flags.gamma) !== undefined) {
    throw misuse('--schedule step with --milestones and --gamma', schedule);
  }
  if (resume && checkpoint === undefined) throw misuse('--checkpoint with --resume', 'none');
  const format = 'safetensors';
  const kept = checkpoint === undefined ? [] : [{ name: '--checkpoint', file: checkpoint, format } as const];
  await checkOutputs(
    [{ name: '--out', file: out, format }, ...kept],
    [folder, ...(validation === undefined ? [] : [validation])],
  );
}

function makeModel(train: Dataset, flags: TrainFlags): Network {
  const [height, width, channels] = train.dims;
  const { mean, std, batchSize } = flags;
  if (batchSize !== undefined && batchSize > train.length) {
    throw misuse('--batch-size', `at most ${train.length}, the number of images`, `${batchSize}`);
  }
  const classes = train.classes.length;
  const inputSize = inputSizeOf([height, width]);
  if (flags.inputSize !== undefined && `${flags.inputSize}` !== `${inputSize}`) {
    const expected = `${height}x${width}, the size of these images (those of IDX files are not scaled)`;
    throw misuse('--size', expected, sizeOf(flags.inputSize).join('x'));
  }
  checkFlag('--in-channels', flags.inChannels, [channels, channels], 'the channels of these images');
  checkFlag(
    '--num-classes',
    flags.numClasses,
    [classes, Number.POSITIVE_INFINITY],
    'the classes of these images, or more',
  );
  const defaults = { numClasses: classes, inChannels: channels, inputSize };
  const options = { ...defaults, ...networkOptions(flags) } as NetworkOptions & typeof defaults;
  return createModel(flags.model ?? 'qarepvgg_a0', {
    ...options,
    ...(options.numClasses === classes && { labels: train.classes }),
    // Images are scaled to cover the size; all of the shorter side is used.
    preprocessing: { ...(mean && std ? { mean, std } : defaultPreprocessing(options.inChannels)), crop: 1 },
    seed: flags.seed,
  });
}

/** A flag must agree with the data. @throws {QARepVGGError} ERR_INVALID_ARG */
function checkFlag(name: string, given: number | undefined, [low, high]: [number, number], what: string): void {
  if (given === undefined || (given >= low && given <= high)) return;
  throw misuse(name, `${low}, ${what}`, `${given}`);
}

async function resume(trainer: Trainer, { resume: wanted, checkpoint }: TrainFlags): Promise<void> {
  if (wanted && checkpoint !== undefined && (await exists(checkpoint))) await trainer.loadCheckpoint(checkpoint);
}

interface TrainingImages {
  readonly train: LoadedPart;
  readonly validation: LoadedPart | undefined;
  /** Other entries of the folders. */
  readonly unused: readonly string[];
}

async function openImages(folder: string, flags: TrainFlags): Promise<TrainingImages> {
  const reading = pick(flags, 'inputSize', 'inChannels', 'labels', 'skipUnreadable') as DataOptions;
  const data = await findData(folder);
  const given = flags.validation === undefined ? undefined : await findData(flags.validation);
  const train = await loadPart(partOf(data.train, folder, 'to train on'), reading);
  const judged = given && partOf(given.validation ?? given.train, flags.validation as string, 'to judge on');
  const part = judged ?? data.validation;
  const validation = part && (await loadPart(part, { ...reading, labels: train.images.classes }));
  return { train, validation, unused: [...data.unused, ...unusedBeside(given)] };
}

/** Of a folder to validate on, images to train on are not used. */
function unusedBeside(given: DataFolder | undefined): readonly string[] {
  if (!given) return [];
  return given.validation && given.train ? [partName(given.train), ...given.unused] : given.unused;
}

function partName({ folder, split }: DataPart): string {
  return split ? `${folder} (${split})` : folder;
}

/** The data as JSON. */
function summaryOf(train: LoadedPart, validation: LoadedPart | undefined): object {
  const describe = ({ images, skipped, others }: LoadedPart): object => ({
    images: images.length,
    classes: Object.fromEntries(countImages(images)),
    skipped,
    others,
  });
  return { train: describe(train), ...(validation && { validation: describe(validation) }) };
}

function introduce(
  model: Network,
  train: LoadedPart,
  validation: LoadedPart | undefined,
  unused: readonly string[],
): void {
  const { parameters, macs } = model.summary();
  const [height, width] = train.images.dims;
  const sizes = `${parameters.toLocaleString('en-US')} parameters, ${(macs / 1e6).toFixed(1)} MMAC per image`;
  const images = `${count(train)} images of ${width} x ${height}`;
  const text = [
    `${model}\n${sizes}\n`,
    `${images} to train on, ${classesText(train.images)}:\n${classLines(train.images)}`,
    skippedText(train),
    validation ? `${count(validation)} to judge on, ${classesText(validation.images)}\n${skippedText(validation)}` : '',
    unused.length > 0 ? `not used: ${listText(unused)}\n` : '',
  ];
  process.stdout.write(text.join(''));
}

function count({ images }: LoadedPart): string {
  return images.length.toLocaleString('en-US');
}

/** Those of the named flags that were given. */
function pick<K extends keyof TrainFlags>(flags: TrainFlags, ...names: K[]): Partial<TrainFlags> {
  return Object.fromEntries(names.flatMap((name) => (flags[name] === undefined ? [] : [[name, flags[name]]])));
}
