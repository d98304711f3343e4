import type { Command } from 'commander';
import { integerUpTo } from './flags';
import { addPhotoFlags, addPhotos, type PhotoFlags } from './photo-flags';

export interface ClassifyFlags extends PhotoFlags {
  readonly model?: string;
  readonly top: number;
}

export function addClassifyCommand(program: Command): void {
  const command = addPhotos(program.command('classify'))
    .description('Classify photographs.')
    .option(
      '--model <file>',
      'a classifier: a model file, or ONNX of any origin; - is standard input (default: the network in this package, ' +
        'which knows clothes)',
    )
    .option('--top <n>', 'classes of each photograph, best first', integerUpTo(65_536), 3);
  addPhotoFlags(command, "ImageNet's for 1000")
    .addHelpText(
      'after',
      '\nExamples:\n  $ qarepvgg classify boot.png\n' +
        '  $ qarepvgg classify *.jpg --model resnet18.onnx --top 5\n' +
        '  $ qarepvgg classify rose.jpg --model flowers.onnx --labels flowers.txt --json',
    )
    .action(async (photos: string[], flags: ClassifyFlags) => {
      const { classifyPhotos } = await import('./classify.js');
      await classifyPhotos(photos, flags);
    });
}
