import type { Command } from 'commander';
import { integerUpTo, share } from './flags';
import { addDecoderFlag, addPhotoFlags, type DetectorFlags } from './photo-flags';

export interface EvaluateFlags extends DetectorFlags {
  readonly data: string;
  readonly images?: string;
  readonly out?: string;
}

export function addEvaluateCommand(program: Command): void {
  const command = program
    .command('evaluate')
    .summary('Measure the accuracy of a classifier or detector.')
    .description(
      "Say how good a model is: a classifier on a folder with a folder for each class, a detector by COCO's twelve figures.",
    )
    .requiredOption('--model <file>', 'a model file, or ONNX of any origin; - is standard input')
    .requiredOption(
      '--data <path>',
      "photographs: a folder as for train, of which val or test is used; or boxes: a file in COCO's format (.json)",
    )
    .option('--images <folder>', 'of boxes: where the photographs are (default: where the file is)');
  addDecoderFlag(command)
    .option('--score <number>', 'of boxes: drop those with this score or less', share, 0.001)
    .option('--iou <number>', 'of two boxes of a class that overlap by more, keep the better one', share, 0.65)
    .option('--max <n>', 'most boxes per photograph', integerUpTo(100_000), 300)
    .option('--out <file>', "of boxes: where to write what was found, in COCO's format of results (.json)");
  addPhotoFlags(command, "ImageNet's for 1000, COCO's for 80")
    .addHelpText(
      'after',
      '\nClasses are matched by name. If no name is known and the numbers are equal, the\n' +
        'order decides, as for the folders n01440764, n01443537, ... of ImageNet.\n\nExamples:\n' +
        '  $ qarepvgg evaluate --model resnet18.onnx --data imagenet\n' +
        '  $ qarepvgg evaluate --model yolov6n.onnx --data instances_val2017.json \\\n' +
        '      --images val2017',
    )
    .action(async (flags: EvaluateFlags) => {
      const { evaluateModel } = await import('./evaluate.js');
      await evaluateModel(flags);
    });
}
