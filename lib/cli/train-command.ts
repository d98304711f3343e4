import { type Command, Option } from 'commander';
import {
  addNetworkFlags,
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
  readonly labels?: string[];
  readonly mean?: number[];
  readonly std?: number[];
  readonly epochs: number;
  readonly batchSize: number;
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
    .description('Train a network on labelled images and write it as a model file.')
    .argument(
      '<data>',
      'folder with the IDX files of Fashion-MNIST (train and test), or with a folder of images for each class, which ' +
        'may lie in train/ beside val/ or test/',
    )
    .option('--out <file>', 'model file to write', 'model.safetensors')
    .option('--checkpoint <file>', 'file to write the state of the training to after every epoch, and when stopped')
    .option('--resume', 'go on with the training in the checkpoint file, if there is one')
    .option('--validation <folder>', 'folder with images to judge on after every epoch, as in <data>')
    .option(
      '--labels <list>',
      'names of the classes in their order: of IDX files of other data, or of the folders',
      nameList,
    );
  addNetworkFlags(command, 'name of the network (default: qarepvgg_a0)', 'as many as the data have')
    .option('--mean <list>', 'mean of the pixels per channel, from 0 to 1', numberList)
    .option('--std <list>', 'deviation of the pixels per channel', numberList)
    .option('--epochs <n>', 'how often the data are gone through', positiveInteger, 30)
    .option('--batch-size <n>', 'images per step', positiveInteger, 64)
    .option('--flip', 'mirror about half of the images')
    .option('--shift <n>', 'shift images by up to so many pixels', wholeNumber)
    .addOption(new Option('--optimizer <name>', '(default: sgd)').choices(['sgd', 'adamw']))
    .option('--lr <number>', 'learning rate (default: 0.1 for sgd, 0.001 for adamw)', finiteNumber)
    .option('--momentum <number>', '(default: 0.9)', finiteNumber)
    .option('--nesterov', "Nesterov's momentum")
    .option('--weight-decay <number>', '(default: 0.0001 for sgd, 0.01 for adamw)', finiteNumber)
    .option('--custom-l2', "RepVGG's own regulariser instead of weight decay on 3x3 and 1x1 (variant S0 has it anyhow)")
    .option('--label-smoothing <number>', '(default: 0)', finiteNumber)
    .option('--clip-norm <number>', 'upper limit of the norm of the gradients (default: none)', finiteNumber)
    .addOption(
      new Option('--schedule <name>', 'of the learning rate').choices(['constant', 'cosine', 'step']).default('cosine'),
    )
    .option(
      '--milestones <list>',
      'shares of all steps at which the schedule step lowers it (default: 0.3,0.6,0.9)',
      numberList,
    )
    .option('--gamma <number>', 'what it multiplies the learning rate by there (default: 0.1)', finiteNumber)
    .option('--warmup <share>', 'share of all steps in which the learning rate rises', finiteNumber, 0.05)
    .option('--seed <n>', 'of the weights and of the order of images', wholeNumber, 0)
    .option('--threads <n>', 'threads (default: all)', positiveInteger)
    .option('--json', 'print a line of JSON after every epoch')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ qarepvgg train /usr/share/datasets/fashion-mnist --channels 16,16,32,64,128 --flip --shift 2\n' +
        '  $ qarepvgg train photos --input-size 96 --epochs 60 --checkpoint run.safetensors --resume',
    )
    .action(async (data: string, flags: TrainFlags) => {
      const { train } = await import('./train.js');
      process.exitCode = (await train(data, flags)) ? 0 : 1;
    });
}
