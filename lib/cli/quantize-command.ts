import type { Command } from 'commander';
import type { InputSize } from '../image-size';
import { choice, finiteNumber, imageSize, nameList, numberList, positiveInteger } from './flags';

export interface QuantizeFlags {
  readonly data: string;
  readonly images: number;
  readonly skipUnreadable?: true;
  readonly size?: InputSize;
  readonly mean?: number[];
  readonly std?: number[];
  readonly method?: string;
  readonly percentile?: number;
  readonly scheme?: string;
  readonly perTensor?: true;
  readonly weightBits: number;
  readonly activationBits: number;
  readonly equalize?: true;
  readonly biasCorrection?: true;
  readonly keepFloat?: string[];
  readonly quantizeLogits?: true;
  readonly report: string[];
  readonly threads?: number;
  readonly json?: true;
}

export function addQuantizeCommand(program: Command): void {
  program
    .command('quantize')
    .summary('Quantise a model to INT8, and report what it costs.')
    .description(
      'Quantise a model to 8-bit integers without training, and report what it costs. Takes a network of this package (one in train form is fused in memory) or an ONNX file of any origin.',
    )
    .argument('<model>', 'model file, safetensors or ONNX; - is standard input')
    .argument('<to>', 'file to write, ONNX if it is named .onnx, otherwise safetensors')
    .requiredOption('--data <folder>', 'typical images: a folder of them, or one as for train')
    .option('--skip-unreadable', 'skip image files that cannot be read, and list them')
    .option('--images <n>', 'number of images to use, evenly spread', positiveInteger, 512)
    .option('--size <size>', 'side of images, or HEIGHTxWIDTH, where an ONNX file leaves it open', imageSize)
    .option('--mean <list>', "mean of the channels, for an ONNX file (default: the model's, or 0)", numberList)
    .option('--std <list>', "standard deviation of the channels (default: the model's, or 1)", numberList)
    .addOption(
      choice('--method <name>', 'how ranges are chosen (default: mse)', ['minmax', 'percentile', 'entropy', 'mse']),
    )
    .option('--percentile <number>', 'for --method percentile (default: 99.99)', finiteNumber)
    .addOption(
      choice('--scheme <name>', 'zero points (affine) or none (symmetric) (default: affine)', ['affine', 'symmetric']),
    )
    .option('--per-tensor', 'one scale for all channels of a weight')
    .option('--weight-bits <n>', 'bits of weights, 4 to 8', positiveInteger, 8)
    .option('--activation-bits <n>', 'bits of activations, 4 to 8', positiveInteger, 8)
    .option('--equalize', 'equalise the ranges of channels first')
    .option('--bias-correction', 'subtract the mean error from the biases')
    .option(
      '--keep-float <list>',
      'layers or nodes that stay in float: names or patterns, such as stage0,head/*',
      nameList,
    )
    .option('--quantize-logits', 'round the logits too, for the same bits in onnxruntime')
    .option(
      '--report <file>',
      'write a report, JSON if it is named .json, otherwise a page with plots; may be repeated',
      (file: string, files: string[]) => [...files, file],
      [],
    )
    .option('--threads <n>', 'threads', positiveInteger)
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ qarepvgg quantize deploy.safetensors int8.safetensors --data photos \\\n' +
        '      --report report.html\n' +
        '  $ qarepvgg quantize deploy.safetensors int8.onnx --data photos \\\n' +
        '      --quantize-logits\n' +
        '  $ qarepvgg quantize yolov6n.onnx int8.safetensors --data photos',
    )
    .action(async (model: string, to: string, flags: QuantizeFlags) => {
      const { quantizeFile } = await import('./quantize.js');
      process.exitCode = (await quantizeFile(model, to, flags)) ? 0 : 1;
    });
}
