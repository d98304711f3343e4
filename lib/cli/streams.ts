/**
 * Continues the work when output cannot be written: a training is worth more than its lines. A reader that leaves
 * (`| head`) is no error. Any other failure, such as a full disk, is reported once, and the command ends with `exitCode`
 * where it would have ended with 0.
 */
export function surviveOutput(exitCode: number): void {
  process.stderr.on('error', () => undefined);
  let isLost = false;
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE' || isLost) return;
    isLost = true;
    process.stderr.write(`error: standard output cannot be written: ${message}; the work continues without it\n`);
    process.once('beforeExit', () => {
      process.exitCode ||= exitCode;
    });
  });
}
