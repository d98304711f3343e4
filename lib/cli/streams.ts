/**
 * Lets the work go on when what is printed cannot be written: a training is worth more than its lines. Whoever reads standard
 * output may leave (`| head`), and nothing is wrong then. Otherwise, on a full disk for example, the command says so once, and ends
 * with `exitCode` where it would have ended with 0.
 */
export function surviveOutput(exitCode: number): void {
  process.stderr.on('error', () => undefined);
  let isLost = false;
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE' || isLost) return;
    isLost = true;
    process.stderr.write(`error: standard output cannot be written: ${message}; the work goes on without it\n`);
    process.once('beforeExit', () => {
      process.exitCode ||= exitCode;
    });
  });
}
