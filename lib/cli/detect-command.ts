import type { Command } from 'commander';
import { integerUpTo, share } from './flags';
import { addDecoderFlag, addPhotoFlags, addPhotos, type DetectorFlags } from './photo-flags';

export interface DetectFlags extends DetectorFlags {
  readonly out?: string;
}

export function addDetectCommand(program: Command): void {
  const command = addPhotos(program.command('detect'))
    .description('Find objects in photographs.')
    .requiredOption('--model <file>', 'a detector: a model file, or ONNX of any origin; - is standard input');
  addDecoderFlag(command)
    .option('--score <number>', 'drop boxes with this score or less', share, 0.25)
    .option('--iou <number>', 'of two boxes of a class that overlap by more, keep the better one', share, 0.45)
    .option('--max <n>', 'most boxes per photograph', integerUpTo(100_000), 300)
    .option(
      '--out <file>',
      'where to draw boxes: .png or .jpg for one photograph, .html for a page of several (needs sharp)',
    );
  addPhotoFlags(command, "COCO's for 80")
    .addHelpText(
      'after',
      '\nBoxes are in pixels of the photograph: upper left corner, width and height.\n\nExamples:\n' +
        '  $ qarepvgg detect street.jpg --model yolov6n.onnx --out boxes.png\n' +
        '  $ qarepvgg detect *.jpg --model yolov6n.onnx --score 0.4 --json > boxes.json',
    )
    .action(async (photos: string[], flags: DetectFlags) => {
      const { detectIn } = await import('./detect.js');
      await detectIn(photos, flags);
    });
}
