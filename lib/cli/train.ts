import { access } from 'node:fs/promises';
import { mismatch } from '../errors';
import {
  type ArchitectureName,
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
import { TrainingProgress } from './progress';
import type { TrainFlags } from './train-command';

/** The `train` command. False when it was stopped before its end. */
export async function train(folder: string, flags: TrainFlags): Promise<boolean> {
  const reading = pick(flags, 'inputSize', 'inChannels', 'labels') as DataOptions;
  const data = await openData(folder, reading);
  const validation = flags.validation === undefined ? data.validation : await openValidation(flags.validation, reading);
  const model = makeModel(data.train, flags);
  const trainer = new Trainer(model, {
    ...pick(flags, 'optimizer', 'lr', 'momentum', 'nesterov', 'weightDecay', 'labelSmoothing', 'clipNorm'),
    ...pick(flags, 'schedule', 'warmup', 'seed', 'threads'),
  } as TrainerOptions);
  await resume(trainer, flags);
  if (!flags.json) introduce(model, data.train, validation);

  const progress = new TrainingProgress(flags.json === true);
  try {
    const isTrained = await untilInterrupted(async (signal) => {
      await trainer.fit(data.train, {
        ...(pick(flags, 'epochs', 'batchSize', 'flip', 'shift', 'checkpoint') as Pick<FitOptions, 'epochs'>),
        ...(validation && { validation }),
        signal,
        onProgress: (event) => progress.show(event),
      });
      return true;
    });
    if (!isTrained) {
      const kept = flags.checkpoint === undefined ? 'nothing is kept' : 'go on with --resume';
      process.stderr.write(`stopped after step ${trainer.stepCount}; ${kept}\n`);
      return false;
    }
  } finally {
    progress.stop();
  }
  await saveModel(model, flags.out);
  if (!flags.json) process.stdout.write(`${flags.out}: ${model.eval()}\n`);
  return true;
}

function makeModel(train: Dataset, flags: TrainFlags): Network {
  const [height, width, channels] = train.dims;
  const { mean, std } = flags;
  if ((mean === undefined) !== (std === undefined)) {
    throw mismatch('ERR_INVALID_ARG', 'train', 'both --mean and --std', 'one of them');
  }
  const defaults = { numClasses: train.classes.length, inChannels: channels, inputSize: Math.max(height, width) };
  const options = { ...defaults, ...networkOptions(flags) } as NetworkOptions & typeof defaults;
  return createModel((flags.model ?? 'qarepvgg_a0') as ArchitectureName, {
    ...options,
    ...(options.numClasses === train.classes.length && { labels: train.classes }),
    ...(mean && std && { preprocessing: { mean, std } }),
    seed: flags.seed,
  });
}

async function resume(trainer: Trainer, { resume: wanted, checkpoint }: TrainFlags): Promise<void> {
  if (!wanted) return;
  if (checkpoint === undefined) throw mismatch('ERR_INVALID_ARG', 'train', '--checkpoint with --resume', 'none');
  const exists = await access(checkpoint).then(
    () => true,
    () => false,
  );
  if (exists) await trainer.loadCheckpoint(checkpoint);
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
