import { existsSync } from 'node:fs';
import path from 'node:path';
import bindings from 'bindings';
import type { Addon } from '../binding';
import { libraryProblem } from './elf';
import { QARepVGGError } from './errors';
import { loadFailure } from './load-failure';

const target = `${process.platform}-${process.arch}`;

/**
 * Where the addon may lie below the package's root: a build made here wins over the one that was shipped. One that exists
 * and cannot be loaded is an error: the next one in its stead would hide what is wrong with it.
 */
const places = [
  ['build', 'Release', 'qarepvgg.node'],
  ['prebuilds', target, 'qarepvgg.node'],
];

/**
 * How often a thread of the OpenMP runtime (libgomp) that waits for others looks at them before it sleeps. Its own choice
 * comes to milliseconds: fine for a machine that does nothing else, but where other programs compute too, threads then
 * burn the time of the one that they wait for, and all become many times slower. This one comes to some 250 microseconds,
 * which covers most waits inside a network and from one run to the next.
 */
const spinCount = '10000';

/** The runtime reads its variables once, when it is loaded; whoever sets them decides. Child processes do not inherit this. */
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

/** The OpenMP runtime that lies beside an addon that was shipped. */
const openmp = 'libgomp.so.1';

/** Throws where the loader, given the addon that it would take or the OpenMP runtime beside it, would mislead or crash. */
function refuseDamaged(root: string): void {
  const addon = places.map((place) => path.join(root, ...place)).find((file) => existsSync(file));
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
export function loadAddon(root: string): Addon {
  let addon: Addon;
  try {
    refuseDamaged(root);
    // `bindings` looks each part of a path up in its options first; that is how 'module_root' becomes the folder.
    const options = { bindings: 'qarepvgg', module_root: root, try: places.map((place) => ['module_root', ...place]) };
    addon = withSpinCount(() => bindings(options));
  } catch (error) {
    const tried = places.map((place) => place.join('/'));
    const message = loadFailure(root, target, tried, error as Error);
    throw new QARepVGGError('ERR_ADDON_LOAD', message, { cause: error });
  }
  addon.setErrorClass(QARepVGGError as new (code: string, message: string) => Error);
  addon.info();
  return addon;
}

/** The native addon. Loaded when the package is imported, so that a failure shows at once and in one place. */
export const addon: Addon = loadAddon(path.resolve(__dirname, '..'));
