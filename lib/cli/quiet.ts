import type { Command } from 'commander';

/** Adds `--quiet` to every command of the program: for scripts that ask for the exit code alone. */
export function addQuiet(program: Command): void {
  for (const command of program.commands) command.option('-q, --quiet', 'print errors only');
  program.hook('preAction', (_, command) => {
    if (command.getOptionValue('quiet') === true) silence();
  });
}

/** Discards what commands print; their progress bars find no terminal. */
function silence(): void {
  process.stdout.write = (...parameters: unknown[]) => {
    const done = parameters.at(-1);
    if (typeof done === 'function') process.nextTick(done as () => void);
    return true;
  };
  process.stderr.isTTY = false;
}
