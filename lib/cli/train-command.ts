import type { Command } from 'commander';
import {
  addNetworkFlags,
  choice,
  finiteNumber,
  type NetworkFlags,
  nameList,
  numberList,
  positiveInteger,
  wholeNumber,
} from './flags';

export interface TrainFlags extends NetworkFlags {
  readonly out: string;
  readonly checkpoint?: string;
  readonly resume?: true;
  readonly validation?: string;
  readonly skipUnreadable?: true;
  readonly labels?: string[];
  readonly mean?: number[];
  readonly std?: number[];
  readonly epochs: number;
  readonly batchSize?: number;
  readonly flip?: true;
  readonly shift?: number;
  readonly optimizer?: string;
  readonly lr?: number;
  readonly momentum?: number;
  readonly nesterov?: true;
  readonly weightDecay?: number;
  readonly customL2?: true;
  readonly labelSmoothing?: number;
  readonly clipNorm?: number;
  readonly schedule: string;
  readonly milestones?: number[];
  readonly gamma?: number;
  readonly warmup: number;
  readonly seed: number;
  readonly threads?: number;
  readonly json?: true;
}

export function addTrainCommand(program: Command): void {
  const command = program
    .command('train')
    .summary('Train a network on labelled images.')
    .description('Train a network on labelled images and write it as a model file.')
    .argument(
      '<data>',
      'folder with IDX files as MNIST has them (train and test), or with a folder of images for each class, which may lie ' +
        'in train/ beside val/, valid/, validation/ or test/',
    )
    .option('--out <file>', 'model file to write', 'model.safetensors')
    .option('--checkpoint <file>', 'file to write the state of the training to after every epoch, and when stopped')
    .option('--resume', 'continue the training of the checkpoint file, if it exists')
    .option('--skip-unreadable', 'skip image files that cannot be read, and list them')
    .option('--validation <folder>', 'folder of images to validate on after every epoch, as <data>')
    .option('--labels <list>', 'names of the classes, in order: for IDX files, or the folders to use', nameList);
  addNetworkFlags(command, 'name of the network (default: qarepvgg_a0)', 'as many as the data have')
    .option('--mean <list>', 'mean of the pixels per channel, from 0 to 1', numberList)
    .option('--std <list>', 'deviation of the pixels per channel', numberList)
    .option('--epochs <n>', 'passes over the data', positiveInteger, 30)
    .option('--batch-size <n>', 'images per step (default: 64, or all where there are fewer)', positiveInteger)
    .option('--flip', 'mirror about half of the images')
    .option('--shift <n>', 'shift images by up to so many pixels', wholeNumber)
    .addOption(choice('--optimizer <name>', '(default: sgd)', ['sgd', 'adamw']))
    .option('--lr <number>', 'learning rate (default: 0.1 for sgd, 0.001 for adamw)', finiteNumber)
    .option('--momentum <number>', '(default: 0.9)', finiteNumber)
    .option('--nesterov', "Nesterov's momentum")
    .option('--weight-decay <number>', '(default: 0.0001 for sgd, 0.01 for adamw)', finiteNumber)
    .option('--custom-l2', "RepVGG's own regulariser instead of weight decay on 3x3 and 1x1 (variant S0 always has it)")
    .option('--label-smoothing <number>', '(default: 0)', finiteNumber)
    .option('--clip-norm <number>', 'upper limit of the norm of the gradients (default: none)', finiteNumber)
    .addOption(
      choice('--schedule <name>', 'schedule of the learning rate', ['constant', 'cosine', 'step']).default('cosine'),
    )
    .option(
      '--milestones <list>',
      'shares of all steps at which the schedule step lowers it (default: 0.3,0.6,0.9)',
      numberList,
    )
    .option('--gamma <number>', 'factor of the learning rate at each milestone (default: 0.1)', finiteNumber)
    .option('--warmup <share>', 'share of all steps in which the learning rate rises', finiteNumber, 0.05)
    .option('--seed <n>', 'seed of the weights and of the order of images', wholeNumber, 0)
    .option('--threads <n>', 'threads (default: all)', positiveInteger)
    .option('--json', 'print a line of JSON after every epoch')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ qarepvgg train /usr/share/datasets/fashion-mnist \\\n' +
        '      --channels 16,16,32,64,128 --flip --shift 2\n' +
        '  $ qarepvgg train photos --size 96 --epochs 60 \\\n' +
        '      --checkpoint run.safetensors --resume',
    )
    .action(async (data: string, flags: TrainFlags) => {
      const { train } = await import('./train.js');
      process.exitCode = (await train(data, flags)) ? 0 : 1;
    });
}
