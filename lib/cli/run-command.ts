import type { Command } from 'commander';
import type { InputSize } from '../image-size';
import type { Algorithm } from '../runtime/options';
import { dimsFlag } from './dims';
import { choice, imageSize, nameList, numberList, positiveInteger } from './flags';

export interface RunFlags {
  readonly dims?: readonly string[];
  readonly size?: InputSize;
  readonly mean?: number[];
  readonly std?: number[];
  readonly outputs?: string[];
  readonly out?: string;
  readonly threads?: number;
  readonly algorithm: Algorithm;
  readonly json?: true;
}

export function addRunCommand(program: Command): void {
  program
    .command('run')
    .summary('Run any model on images or arrays.')
    .description('Run a model of any kind on files, and print or write the outputs.')
    .argument('<model>', 'model file, ONNX of any origin or safetensors; - is standard input')
    .argument(
      '[input...]',
      'an image, a NumPy array (.npy) or plain numbers (.raw, .bin, .f32); name=file where there are several inputs',
    )
    .option('--dims <dims>', 'dims of a .raw file, such as 1x3x640x640 or name=1x3x640x640; may be repeated', dimsFlag)
    .option('--size <size>', 'side of images in pixels, or HEIGHTxWIDTH, where the model leaves it open', imageSize)
    .option('--mean <list>', "mean of the channels, such as 0.485,0.456,0.406 (default: the model's, or 0)", numberList)
    .option('--std <list>', "standard deviation of the channels (default: the model's, or 1)", numberList)
    .option('--outputs <names>', 'outputs to show (default: all)', nameList)
    .option('--out <file>', 'write the result: .npy for one output, .json, or a folder of .npy files')
    .option('--threads <n>', 'threads (default: all)', positiveInteger)
    .addOption(
      choice('--algorithm <name>', 'algorithm of the convolutions', ['auto', 'gemm', 'winograd']).default('auto'),
    )
    .option('--json', 'print the result, with all its numbers, as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ qarepvgg run mobilenet.onnx cat.jpg --size 224 --mean 0.485,0.456,0.406 \\\n      --std 0.229,0.224,0.225\n' +
        '  $ qarepvgg run yolov6n.onnx images=street.png --outputs outputs \\\n      --out boxes.npy\n' +
        '  $ qarepvgg run model.onnx left=a.npy right=b.npy --json',
    )
    .action(async (model: string, inputs: string[], flags: RunFlags) => {
      const { runModel } = await import('./run.js');
      await runModel(model, inputs, flags);
    });
}
