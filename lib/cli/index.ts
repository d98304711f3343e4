#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { BenchOptions } from './bench';

/** Exit codes: 0 when all went well, 1 when the work failed, 2 when the command line makes no sense. */
const failed = 1;
const badUsage = 2;

function createProgram(): Command {
  const { version } = JSON.parse(readFileSync(path.join(__dirname, '../../package.json'), 'utf8')) as {
    version: string;
  };
  const program = new Command('qarepvgg')
    .description('Train, re-parameterise and serve QARepVGG blocks on native kernels.')
    .version(version)
    .exitOverride();

  program
    .command('demo')
    .description('Fuse a stack of QARepVGG blocks, prove on photographs that nothing changed, and time both forms.')
    .argument('[files...]', 'binary PPM images of one size (default: four photographs that come with the package)')
    .option('--runs <n>', 'timed runs of each form', positiveInteger, 15)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ qarepvgg demo --runs 30')
    .action(async (files: string[], options: { runs: number; json?: true }) => {
      // Imported late, so that --help works where the addon does not load.
      const { demo } = await import('./demo.js');
      process.exitCode = (await demo(files, options)) ? 0 : failed;
    });

  program
    .command('info')
    .description('Print the version, the instruction set in use and the number of threads.')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ QAREPVGG_ISA=avx2 qarepvgg info --json')
    .action(async (options: { json?: true }) => {
      const { printInfo } = await import('./info.js');
      printInfo(options);
    });

  program
    .command('export')
    .description('Write a model in deploy form as an ONNX file (opset 13, any number of images).')
    .argument('<model>', 'model file in deploy form')
    .argument('<file>', 'ONNX file to write')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ qarepvgg export deploy.safetensors model.onnx')
    .action(async (model: string, file: string, options: { json?: true }) => {
      const { exportModel } = await import('./export.js');
      await exportModel(model, file, options);
    });

  program
    .command('bench')
    .description('Time a model in deploy form on random images: latency, images/s, GFLOP/s.')
    .argument('<model>', 'model file in deploy form, safetensors or ONNX')
    .option('--batch <n>', 'images of a run', positiveInteger, 1)
    .option('--threads <n>', 'threads (default: all)', positiveInteger)
    .option('--size <n>', "side of the images in pixels (default: the model's)", positiveInteger)
    .option('--seconds <n>', 'how long to measure', positiveInteger, 3)
    .addOption(new Option('--algorithm <name>').choices(['auto', 'gemm', 'winograd']).default('auto'))
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ qarepvgg bench model.onnx --batch 8 --threads 1')
    .action(async (model: string, options: BenchOptions) => {
      const { bench } = await import('./bench.js');
      await bench(model, options);
    });

  return program;
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('Expected an integer from 1.');
}

async function main(): Promise<void> {
  try {
    await createProgram().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed its message; it also throws after --help and --version.
      process.exitCode = error.exitCode === 0 ? 0 : badUsage;
      return;
    }
    process.stderr.write(`error: ${(error as Error).message}\n`);
    process.exitCode = failed;
  }
}

void main();
