import type { Command } from 'commander';
import { didYouMean } from '../did-you-mean';
import { QARepVGGError } from '../errors';

/** Whether errors are printed as JSON. Read before the command line is parsed, which may be what fails. */
const inJson = process.argv.includes('--json');

/**
 * Prints an error to the standard error: a line for people, or with `--json` one line of JSON,
 * `{ "error": { "code", "message" } }`. The code is missing where the error has none of this package.
 */
export function printError(error: unknown): void {
  const { message } = error as Error;
  const code = error instanceof QARepVGGError ? error.code : undefined;
  process.stderr.write(inJson ? `${JSON.stringify({ error: { code, message } })}\n` : `error: ${message}\n`);
}

/** The error of a file that the flag --skip-unreadable would skip. */
export function withHint(error: QARepVGGError): QARepVGGError {
  error.message += '; --skip-unreadable skips it';
  return error;
}

/** Prints commander's messages about a wrong command line in the same way. Its commands inherit this. */
export function reportMisuse(program: Command): Command {
  return program.configureOutput({
    outputError: (text, write) => {
      const whole = text + mistyped(text);
      if (!inJson) write(whole);
      else
        printError(
          new QARepVGGError(
            'ERR_INVALID_ARG',
            whole
              .trim()
              .replace(/^error: /, '')
              .replaceAll('\n', ' '),
          ),
        );
    },
  });
}

/** Commander reports a missing required option before an unknown one, which may be the same option mistyped. */
function mistyped(text: string): string {
  const [, wanted] = /required option '(--[\w-]+)/.exec(text) ?? [];
  const typed = process.argv.find((arg) => /^--\w/.test(arg) && wanted && didYouMean(arg, [wanted]) !== '');
  return typed === undefined ? '' : `(Did you mean ${wanted}? It says ${typed}.)\n`;
}
