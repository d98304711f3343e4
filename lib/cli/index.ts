#!/usr/bin/env node

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Command, CommanderError } from 'commander';
import { leaving } from '../errors';
import { addBenchCommand } from './bench-command';
import { addClassifyCommand } from './classify-command';
import { addDemoCommand } from './demo-command';
import { addDetectCommand } from './detect-command';
import { printError, reportMisuse } from './errors';
import { addEvaluateCommand } from './evaluate-command';
import { addExportCommand } from './export-command';
import { addFuseCommand } from './fuse-command';
import { addInfoCommand } from './info-command';
import { addQuantizeCommand } from './quantize-command';
import { addQuiet } from './quiet';
import { addRunCommand } from './run-command';
import { addServeCommand } from './serve-command';
import { surviveOutput } from './streams';
import { addTrainCommand } from './train-command';
import { isMisuse } from './usage';
import { addVerifyCommand } from './verify-command';
import { welcome } from './welcome';

/** Exit codes: 0 for success, 1 when the work failed, 2 for a wrong command line. */
const failed = 1;
const badUsage = 2;

const { version } = JSON.parse(readFileSync(path.join(__dirname, '../../package.json'), 'utf8')) as { version: string };

function createProgram(): Command {
  const program = reportMisuse(new Command('qarepvgg'))
    .description('Run, quantise, serve and train convolutional networks.')
    .version(version)
    .addHelpText(
      'after',
      '\nExit codes: 0 for success, 1 when the work or a comparison failed,\n2 for a wrong command line.',
    )
    .exitOverride();

  addRunCommand(program);
  addClassifyCommand(program);
  addDetectCommand(program);
  addServeCommand(program);
  addQuantizeCommand(program);
  addEvaluateCommand(program);
  addTrainCommand(program);
  addFuseCommand(program);
  addVerifyCommand(program);
  addExportCommand(program);
  addBenchCommand(program);
  addInfoCommand(program);
  addDemoCommand(program);
  addQuiet(program);

  return program;
}

async function main(): Promise<void> {
  if (process.argv.length <= 2) {
    process.stderr.write(welcome(version));
    process.exitCode = badUsage;
    return;
  }
  let name = '';
  const program = createProgram().hook('preAction', (_, command) => {
    name = command.name();
  });
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed its message; it also throws after --help and --version.
      process.exitCode = error.exitCode === 0 ? 0 : badUsage;
      return;
    }
    printError(leaving(name, error));
    process.exitCode = isMisuse(error) ? badUsage : failed;
  }
}

surviveOutput(failed);
void main();
