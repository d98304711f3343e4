import { exists } from '../formats/files';
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
import { type DataOptions, openData, openValidation } from './data';
import { untilInterrupted } from './interrupt';
import { networkOptions } from './network-file';
import { checkOutputs } from './outputs';
import { TrainingProgress } from './progress';
import type { TrainFlags } from './train-command';
import { misuse } from './usage';

/** The `train` command. False when it was stopped before its end. */
export async function train(folder: string, flags: TrainFlags): Promise<boolean> {
  await checkFlags(folder, flags);
  const reading = pick(flags, 'inputSize', 'inChannels', 'labels') as DataOptions;
  const data = await openData(folder, reading, 'train');
  const validation =
    flags.validation === undefined
      ? data.validation
      : await openValidation(flags.validation, reading, data.train.classes, 'train');
  const model = makeModel(data.train, flags);
  const trainer = new Trainer(model, {
    ...pick(flags, 'optimizer', 'lr', 'momentum', 'nesterov', 'weightDecay', 'labelSmoothing', 'clipNorm'),
    ...pick(flags, 'customL2', 'schedule', 'milestones', 'gamma', 'warmup', 'seed', 'threads'),
  } as TrainerOptions);
  await resume(trainer, flags);
  if (!flags.json) introduce(model, data.train, validation);

  const progress = new TrainingProgress(flags.json === true);
  const training = untilInterrupted((signal) =>
    trainer.fit(data.train, {
      ...(pick(flags, 'epochs', 'batchSize', 'flip', 'shift', 'checkpoint') as Pick<FitOptions, 'epochs'>),
      ...(validation && { validation }),
      signal,
      onProgress: (event) => progress.show(event),
    }),
  );
  // Before anything else is written: the bar takes its line with it.
  const result = await training.finally(() => progress.stop());
  if (!result) {
    const kept = flags.checkpoint === undefined ? 'nothing is kept' : 'go on with --resume';
    process.stderr.write(`stopped after step ${trainer.stepCount}; ${kept}\n`);
    return false;
  }
  if (result.epochs.length === 0) {
    const done = `${flags.checkpoint} has reached --epochs ${flags.epochs} (step ${trainer.stepCount})`;
    process.stderr.write(`nothing left to do: ${done}; name more to go on\n`);
  }
  await saveModel(model, flags.out);
  if (!flags.json) process.stdout.write(`${flags.out}: ${model.eval()}\n`);
  return true;
}

/** Whatever can be checked before the data are read. */
async function checkFlags(folder: string, flags: TrainFlags): Promise<void> {
  const { mean, std, resume, checkpoint, out, validation, schedule } = flags;
  if ((mean === undefined) !== (std === undefined)) throw misuse('train', 'both --mean and --std', 'one of them');
  if (schedule !== 'step' && (flags.milestones ?? flags.gamma) !== undefined) {
    throw misuse('train', '--schedule step with --milestones and --gamma', schedule);
  }
  if (resume && checkpoint === undefined) throw misuse('train', '--checkpoint with --resume', 'none');
  const format = 'safetensors';
  const kept = checkpoint === undefined ? [] : [{ name: '--checkpoint', file: checkpoint, format } as const];
  await checkOutputs(
    'train',
    [{ name: '--out', file: out, format }, ...kept],
    [folder, ...(validation === undefined ? [] : [validation])],
  );
}

function makeModel(train: Dataset, flags: TrainFlags): Network {
  const [height, width, channels] = train.dims;
  const { mean, std } = flags;
  const side = Math.max(height, width);
  const classes = train.classes.length;
  checkFlag(
    '--input-size',
    flags.inputSize,
    [side, side],
    'the side of these images (those of IDX files are not scaled)',
  );
  checkFlag('--in-channels', flags.inChannels, [channels, channels], 'the channels of these images');
  checkFlag(
    '--num-classes',
    flags.numClasses,
    [classes, Number.POSITIVE_INFINITY],
    'the classes of these images, or more',
  );
  const defaults = { numClasses: classes, inChannels: channels, inputSize: side };
  const options = { ...defaults, ...networkOptions(flags) } as NetworkOptions & typeof defaults;
  return createModel(flags.model ?? 'qarepvgg_a0', {
    ...options,
    ...(options.numClasses === classes && { labels: train.classes }),
    ...(mean && std && { preprocessing: { mean, std } }),
    seed: flags.seed,
  });
}

/** What a flag says of the data has to be so. @throws {UsageError} */
function checkFlag(name: string, given: number | undefined, [low, high]: [number, number], what: string): void {
  if (given === undefined || (given >= low && given <= high)) return;
  throw misuse(`train, ${name}`, `${low}, ${what}`, `${given}`);
}

async function resume(trainer: Trainer, { resume: wanted, checkpoint }: TrainFlags): Promise<void> {
  if (wanted && checkpoint !== undefined && (await exists(checkpoint))) await trainer.loadCheckpoint(checkpoint);
}

function introduce(model: Network, train: Dataset, validation: Dataset | undefined): void {
  const { parameters, macs } = model.summary();
  const [height, width] = train.dims;
  const sizes = `${parameters.toLocaleString('en-US')} parameters, ${(macs / 1e6).toFixed(1)} MMAC per image`;
  const judged = validation ? `, ${validation.length} to judge on` : '';
  process.stdout.write(`${model}: ${sizes}\n${train.length} images of ${width} x ${height}${judged}\n`);
}

/** The flags that were given, of these. */
function pick<K extends keyof TrainFlags>(flags: TrainFlags, ...names: K[]): Partial<TrainFlags> {
  return Object.fromEntries(names.flatMap((name) => (flags[name] === undefined ? [] : [[name, flags[name]]])));
}
