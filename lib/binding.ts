import { existsSync } from 'node:fs';
import path from 'node:path';
import bindings from 'bindings';
import type { Addon } from '../binding';
import { built, shipped } from './addon-files';
import { libraryProblem } from './elf';
import { failure, QARepVGGError } from './errors';
import { loadFailure } from './load-failure';

const target = `${process.platform}-${process.arch}`;

/** The OpenMP runtime beside a shipped addon. */
const openmp = 'libgomp.so.1';

const ownRoot = path.join(__dirname, '..');

/**
 * Places of the addon below the package's root: a build made here wins over the shipped one. An addon that exists
 * and does not load is an error: falling back to the next would hide what is wrong.
 */
const places = [built, path.join(shipped, 'qarepvgg.node')].map((file) => path.relative(ownRoot, file));

/**
 * How often a waiting thread of the OpenMP runtime (libgomp) polls before it sleeps. The runtime's default amounts to
 * milliseconds. That is fine on a machine that does nothing else; where other programs compute too, polling threads take the
 * time of the one that they wait for, and everything becomes many times slower. This value amounts to about 250
 * microseconds, which covers most waits inside a network and between runs.
 */
const spinCount = '10000';

/**
 * Loads the addon with the variable set: the runtime reads it once. The user's own value is kept, and child processes
 * inherit nothing.
 */
function withSpinCount<T>(load: () => T): T {
  const { env } = process;
  if (env.OMP_WAIT_POLICY !== undefined || env.GOMP_SPINCOUNT !== undefined) return load();
  env.GOMP_SPINCOUNT = spinCount;
  try {
    return load();
  } finally {
    delete env.GOMP_SPINCOUNT;
  }
}

/** Throws where the system's loader would crash on the addon or its OpenMP runtime, or would report a misleading error. */
function refuseDamaged(files: readonly string[]): void {
  const addon = files.find((file) => existsSync(file));
  if (addon === undefined) return;
  for (const file of [addon, path.join(path.dirname(addon), openmp)]) {
    const problem = existsSync(file) ? libraryProblem(file) : undefined;
    if (problem !== undefined) throw new Error(`${file}: ${problem}`);
  }
}

/**
 * Loads the native addon of the package whose root folder is `root` and hands it the error class.
 *
 * @throws {QARepVGGError} ERR_ADDON_LOAD when no addon fits this machine; ERR_ISA when `QAREPVGG_ISA` names an
 * instruction set that is unknown or that this CPU does not have.
 */
export function loadAddon(root: string = ownRoot): Addon {
  const files = places.map((place) => path.join(root, place));
  let addon: Addon;
  try {
    refuseDamaged(files);
    // A root of its own: `bindings` would look for a package.json, which a bundled application need not have.
    addon = withSpinCount(() =>
      bindings({ bindings: 'qarepvgg', module_root: root, try: files.map((file) => [file]) }),
    );
  } catch (error) {
    const message = loadFailure(root, target, places, error as Error);
    throw new QARepVGGError('ERR_ADDON_LOAD', message, { cause: error });
  }
  addon.setErrorClass(failure as unknown as new (code: string, message: string) => Error);
  addon.info();
  return addon;
}

/** The native addon. Loaded when the package is imported, so that a failure shows at once and in one place. */
export const addon: Addon = loadAddon();
