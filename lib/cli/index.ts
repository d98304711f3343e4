#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Command, CommanderError } from 'commander';
import { addBenchCommand } from './bench-command';
import { addDemoCommand } from './demo-command';
import { addExportCommand } from './export-command';
import { addFuseCommand } from './fuse-command';
import { addInfoCommand } from './info-command';
import { addQuantizeCommand } from './quantize-command';
import { addTrainCommand } from './train-command';
import { isMisuse } from './usage';
import { addVerifyCommand } from './verify-command';

/** Exit codes: 0 when all went well, 1 when the work failed, 2 when the command line makes no sense. */
const failed = 1;
const badUsage = 2;

function createProgram(): Command {
  const { version } = JSON.parse(readFileSync(path.join(__dirname, '../../package.json'), 'utf8')) as {
    version: string;
  };
  const program = new Command('qarepvgg')
    .description('Train, re-parameterise, quantise, compare, export and time QARepVGG networks on native kernels.')
    .version(version)
    .addHelpText(
      'after',
      '\nExit codes: 0 when all went well, 1 when the work or a comparison failed,\n2 when the command line makes no sense.',
    )
    .exitOverride();

  addDemoCommand(program);
  addInfoCommand(program);
  addTrainCommand(program);
  addFuseCommand(program);
  addQuantizeCommand(program);
  addVerifyCommand(program);
  addExportCommand(program);
  addBenchCommand(program);

  return program;
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
    process.exitCode = isMisuse(error) ? badUsage : failed;
  }
}

// Whoever reads the output may leave (`| head`): the work goes on without being watched.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

void main();
