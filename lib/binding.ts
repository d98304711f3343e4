import path from 'node:path';
import bindings from 'bindings';
import type { Addon } from '../binding';
import { QARepVGGError } from './errors';

const platform = `${process.platform}-${process.arch}`;

/** Where the addon may lie below the package's root: a build made here wins over the one that was shipped. */
const places = [
  ['build', 'Release', 'qarepvgg.node'],
  ['prebuilds', platform, 'qarepvgg.node'],
];

/**
 * Loads the native addon of the package whose root folder is `root` and hands it the error class.
 *
 * @throws {QARepVGGError} ERR_ADDON_LOAD when no addon fits this machine; ERR_ISA when `QAREPVGG_ISA` names an
 * instruction set that is unknown or that this CPU does not have.
 */
export function loadAddon(root: string): Addon {
  let addon: Addon;
  try {
    // `bindings` looks each part of a path up in its options first; that is how 'module_root' becomes the folder.
    const options = { bindings: 'qarepvgg', module_root: root, try: places.map((place) => ['module_root', ...place]) };
    addon = bindings(options);
  } catch (error) {
    throw new QARepVGGError('ERR_ADDON_LOAD', loadFailure(root, error), { cause: error });
  }
  addon.setErrorClass(QARepVGGError as new (code: string, message: string) => Error);
  addon.info();
  return addon;
}

function loadFailure(root: string, error: unknown): string {
  const { tries, message } = error as Error & { tries?: string[] };
  // The loader's messages hold absolute paths; the caller gave none, so none is shown.
  const reason = tries ? 'no such file' : message.replaceAll(root + path.sep, '');
  return [
    `native addon: expected one that fits ${platform} and Node ${process.version}, received none`,
    `  tried: ${places.map((place) => place.join('/')).join(', ')}`,
    `  reason: ${reason}`,
    '  to build it here (needs a C++ compiler), run in the folder of the package: npm run build',
  ].join('\n');
}

/** The native addon. Loaded when the package is imported, so that a failure shows at once and in one place. */
export const addon: Addon = loadAddon(path.resolve(__dirname, '..'));
