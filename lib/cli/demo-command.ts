import type { Command } from 'commander';
import { positiveInteger } from './flags';

export interface DemoFlags {
  readonly runs: number;
  readonly json?: true;
}

export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .summary('Classify images before and after re-parameterisation.')
    .description(
      'Classify images by a trained network before and after re-parameterisation: the same predictions, faster.',
    )
    .argument(
      '[folder]',
      'folder with the IDX files of Fashion-MNIST (default: 1,000 of its test images, which come with the package)',
    )
    .option('--runs <n>', 'timed runs of each form', positiveInteger, 7)
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ qarepvgg demo --runs 30\n  $ qarepvgg demo /usr/share/datasets/fashion-mnist',
    )
    .action(async (folder: string | undefined, flags: DemoFlags) => {
      // Imported here, so that --help works where the addon does not load.
      const { demo } = await import('./demo.js');
      process.exitCode = (await demo(folder, flags)) ? 0 : 1;
    });
}
