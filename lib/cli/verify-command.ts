import type { Command } from 'commander';
import { dimsFlag } from './dims';
import { addFileFlags, type FileFlags, integerUpTo, numberFromZero, share, wholeNumber } from './flags';

export interface VerifyFlags extends FileFlags {
  readonly deploy?: string;
  readonly samples: number;
  readonly seed: number;
  readonly tolerance: number;
  readonly data?: string;
  readonly skipUnreadable?: true;
  readonly agreement: number;
  readonly dims?: readonly string[];
  readonly json?: true;
}

export function addVerifyCommand(program: Command): void {
  const command = program
    .command('verify')
    .summary('Compare a model with its fused or quantised form.')
    .description(
      'Check that re-parameterisation changes nothing: compare the forms of a model, block by block, on random and on given ' +
        'images; or see how little quantisation changes.',
    )
    .argument(
      '<model>',
      'model file in train or partial form, in deploy form for a quantised one, or with --model a file of tensors',
    )
    .argument('[images...]', 'image files to compare on as well');
  addFileFlags(command)
    .option(
      '--deploy <file>',
      'model file to compare with, in deploy form or quantised (default: what fuse would make of the model)',
    )
    .option('--data <folder>', 'for a quantised model: images to compare on, as for train and quantize')
    .option('--skip-unreadable', 'of --data: skip image files that cannot be read, and list them')
    .option('--agreement <share>', 'for a quantised model: smallest share of equal predictions', share, 0.95)
    .option('--samples <n>', 'random images', integerUpTo(10_000), 4)
    .option('--seed <n>', 'seed of the random images', wholeNumber, 0)
    .option('--tolerance <number>', 'largest relative L2 difference of a block and of the whole', numberFromZero, 1e-5)
    .option('--dims <dims>', 'dims of an input of an ONNX file: 1x3x640x640, or name=1x3x640x640', dimsFlag)
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExit code 1 when a difference is larger than the tolerance, or when fewer\npredictions agree.\n\nExamples:\n' +
        '  $ qarepvgg verify trained.safetensors cat.jpg dog.jpg\n' +
        '  $ qarepvgg verify trained.safetensors --deploy deploy.safetensors\n' +
        '  $ qarepvgg verify deploy.safetensors --deploy int8.safetensors --data photos\n' +
        '  $ qarepvgg verify theirs.onnx --deploy changed.onnx --dims 1x3x640x640',
    )
    .action(async (model: string, images: string[], flags: VerifyFlags) => {
      const { verifyFile } = await import('./verify.js');
      process.exitCode = (await verifyFile(model, images, flags)) ? 0 : 1;
    });
}
