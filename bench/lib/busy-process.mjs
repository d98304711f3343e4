// A process that never sleeps.

import { spawn, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** Whether the system can keep a process on one of several processors (util-linux). */
export function canPin() {
  return availableParallelism() > 1 && spawnSync('taskset', ['--version'], { stdio: 'ignore' }).status === 0;
}

export class BusyProcess {
  #child;

  /** @param {boolean} pinned to processor 1 */
  constructor(pinned) {
    const loop = [process.execPath, '--eval', 'for (;;);'];
    const [command = '', ...args] = pinned ? ['taskset', '--cpu-list', '1', ...loop] : loop;
    this.#child = spawn(command, args, { stdio: 'ignore' });
  }

  end() {
    this.#child.kill('SIGKILL');
  }
}
