import type { Command } from 'commander';
import type { InputSize } from '../image-size';
import type { DecoderName } from '../vision';
import { imageSize, integerUpTo } from './flags';

/** What commands on photographs have in common. */
export interface PhotoFlags {
  readonly labels?: string;
  readonly size?: InputSize;
  readonly threads?: number;
  readonly skipUnreadable?: true;
  readonly json?: true;
}

/** What commands that find boxes have in common. */
export interface DetectorFlags extends PhotoFlags {
  readonly model: string;
  readonly decoder?: DecoderName;
  readonly score: number;
  readonly iou: number;
  readonly max: number;
}

export function addPhotos(command: Command): Command {
  return command.argument('<photos...>', 'image files: JPEG, PNG, WebP, GIF, TIFF, AVIF (all with sharp), PGM or PPM');
}

/** @param labels Whose names the classes have without the flag. */
export function addPhotoFlags(command: Command, labels: string): Command {
  return command
    .option('--labels <file>', `a text file with a class on each line (default: the model's, or ${labels})`)
    .option('--size <size>', 'side of images in pixels, or HEIGHTxWIDTH, where the model leaves it open', imageSize)
    .option('--threads <n>', 'threads (default: all)', integerUpTo(1024))
    .option('--skip-unreadable', 'skip image files that cannot be read, and name them')
    .option('--json', 'print the result as JSON');
}

export function addDecoderFlag(command: Command): Command {
  return command.option(
    '--decoder <name>',
    'how outputs become boxes: yolov6, yolov6-levels, yolov8, yolo-nas or blazeface (default: detected from their dims)',
  );
}
