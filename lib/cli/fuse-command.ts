import type { Command } from 'commander';
import { addFileFlags, type FileFlags, numberList } from './flags';

export interface FuseFlags extends FileFlags {
  readonly keepPostBn?: true;
  /** A file. */
  readonly labels?: string;
  readonly mean?: number[];
  readonly std?: number[];
  readonly json?: true;
}

export function addFuseCommand(program: Command): void {
  const command = program
    .command('fuse')
    .summary('Re-parameterise a model: one 3x3 convolution per block.')
    .description('Re-parameterise a model: every block becomes one 3x3 convolution.')
    .argument(
      '<from>',
      'model file, or with --model a file of tensors, such as a PyTorch checkpoint; - is standard input',
    )
    .argument('<to>', 'model file to write');
  addFileFlags(command)
    .option('--labels <file>', 'names of the classes: one a line, or an array in JSON')
    .option('--mean <list>', 'mean of each channel, such as 0.485,0.456,0.406', numberList)
    .option('--std <list>', 'standard deviation of each channel', numberList)
    .option('--keep-post-bn', 'keep the batch norm after the branches, to train on (partial form)')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      [
        '\nExamples:',
        '  $ qarepvgg fuse trained.safetensors deploy.safetensors',
        '  $ qarepvgg fuse RepVGG-A0-train.pth deploy.safetensors --model repvgg_a0 \\',
        '      --labels imagenet.txt',
        '  $ qarepvgg fuse timm.safetensors deploy.safetensors --model repvgg_a0 \\',
        '      --layout timm',
      ].join('\n'),
    )
    .action(async (from: string, to: string, flags: FuseFlags) => {
      const { fuseFile } = await import('./fuse.js');
      await fuseFile(from, to, flags);
    });
}
