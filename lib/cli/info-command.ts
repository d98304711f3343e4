import type { Command } from 'commander';
import { addFileFlags, type FileFlags } from './flags';

export function addInfoCommand(program: Command): void {
  const command = program
    .command('info')
    .description('Print what the package runs on; or what a model is made of, layer by layer.')
    .argument('[model]', 'model file, with --model a file of tensors, or the name of an architecture');
  addFileFlags(command)
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ QAREPVGG_ISA=avx2 qarepvgg info --json\n  $ qarepvgg info model.safetensors\n' +
        '  $ qarepvgg info qarepvgg_b1g4',
    )
    .action(async (model: string | undefined, flags: FileFlags & { json?: true }) => {
      const { printInfo } = await import('./info.js');
      await printInfo(model, flags);
    });
}
