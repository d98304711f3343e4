import type { Command } from 'commander';
import { dimsFlag } from './dims';
import { addFileFlags, type FileFlags } from './flags';

export interface InfoFlags {
  readonly dims?: readonly string[];
  readonly json?: true;
  readonly quiet?: true;
}

export function addInfoCommand(program: Command): void {
  const command = program
    .command('info')
    .summary('Print the machine, or the layers of a model.')
    .description('Print version, instruction set and threads; or the layers of a model.')
    .argument(
      '[model]',
      'model file (- is standard input), with --model a file of tensors, or the name of an architecture',
    );
  addFileFlags(command)
    .option('--dims <dims>', 'dims of an input of an ONNX file: 1x3x640x640, or name=1x3x640x640', dimsFlag)
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ QAREPVGG_ISA=avx2 qarepvgg info --json\n  $ qarepvgg info model.safetensors\n' +
        '  $ qarepvgg info qarepvgg_b1g4\n  $ qarepvgg info yolov6n.onnx --dims images=1x3x640x640',
    )
    .action(async (model: string | undefined, flags: FileFlags & InfoFlags) => {
      const { printInfo } = await import('./info.js');
      await printInfo(model, flags);
    });
}
