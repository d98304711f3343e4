import { type Command, Option } from 'commander';
import { finiteNumber, nameList, positiveInteger } from './flags';

export interface QuantizeFlags {
  readonly data: string;
  readonly images: number;
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
    .description('Quantise a model in deploy form to 8-bit integers, after training, and report what it costs.')
    .argument('<model>', 'model file in deploy form, safetensors or ONNX')
    .argument('<to>', 'file to write, ONNX if it is named .onnx, otherwise safetensors')
    .requiredOption(
      '--data <folder>',
      'images like those that the model will see: IDX files of Fashion-MNIST, or a folder of images for each class',
    )
    .option('--images <n>', 'how many of them to look at, evenly spread', positiveInteger, 512)
    .addOption(
      new Option('--method <name>', 'how ranges are chosen (default: mse)').choices([
        'minmax',
        'percentile',
        'entropy',
        'mse',
      ]),
    )
    .option('--percentile <number>', 'of the method of that name (default: 99.99)', finiteNumber)
    .addOption(new Option('--scheme <name>', '(default: affine)').choices(['affine', 'symmetric']))
    .option('--per-tensor', 'one scale for all channels of a weight')
    .option('--weight-bits <n>', 'bits of weights, 4 to 8', positiveInteger, 8)
    .option('--activation-bits <n>', 'bits of activations, 4 to 8', positiveInteger, 8)
    .option('--equalize', 'bring channels into ranges more alike first')
    .option('--bias-correction', 'take the mean error off the biases')
    .option('--keep-float <list>', 'layers that stay in float, such as stage0,linear', nameList)
    .option('--quantize-logits', 'round the logits, too: the same bits in onnxruntime')
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
        '  $ qarepvgg quantize deploy.safetensors int8.safetensors --data examples/data/fashion-mnist --report report.html\n' +
        '  $ qarepvgg quantize deploy.safetensors int8.onnx --data photos --quantize-logits',
    )
    .action(async (model: string, to: string, flags: QuantizeFlags) => {
      const { quantizeFile } = await import('./quantize.js');
      process.exitCode = (await quantizeFile(model, to, flags)) ? 0 : 1;
    });
}
