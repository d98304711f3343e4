import { existsSync } from 'node:fs';
import path from 'node:path';
import bindings from 'bindings';
import type { Addon } from '../binding';
import { built, shipped } from './addon-files';
import { libraryProblem } from './elf';
import { QARepVGGError } from './errors';
import { loadFailure } from './load-failure';

const target = `${process.platform}-${process.arch}`;

/** The OpenMP runtime that lies beside an addon that was shipped. */
const openmp = 'libgomp.so.1';

const ownRoot = path.join(__dirname, '..');

/**
 * Places of the addon below the package's root: a build made here wins over the one that was shipped. One that exists and
 * cannot be loaded is an error: the next one in its stead would hide what is wrong with it.
 */
const places = [built, path.join(shipped, 'qarepvgg.node')].map((file) => path.relative(ownRoot, file));

/**
 * How often a thread of the OpenMP runtime (libgomp) that waits for others looks at them before it sleeps. Its own choice
 * comes to milliseconds: fine for a machine that does nothing else, but where other programs compute too, threads then
 * burn the time of the one that they wait for, and all become many times slower. This one comes to about 250 microseconds,
 * which covers most waits inside a network and from one run to the next.
 */
const spinCount = '10000';

/** The runtime reads its variables once, when it is loaded; values that the user has set are kept. Child processes do not inherit this. */
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

/** Throws where the loader, given the addon that it would take or the OpenMP runtime beside it, would mislead or crash. */
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
  addon.setErrorClass(QARepVGGError as new (code: string, message: string) => Error);
  addon.info();
  return addon;
}

/** The native addon. Loaded when the package is imported, so that a failure shows at once and in one place. */
export const addon: Addon = loadAddon();
