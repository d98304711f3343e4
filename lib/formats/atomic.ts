import { type FileHandle, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { mismatch, placed } from '../errors';
import { checkEnding, type FileFormat } from './file-format';
import { systemError } from './files';
import { pathOf, placeOf } from './sources';

const temporaryName = /^\.qarepvgg-[\da-f]{16}\.tmp$/;

/** A temporary file that is this many milliseconds old belongs to a process that was killed. */
const abandonedAfter = 3_600_000;

/**
 * Writes a file so that its path always holds either all of the old content or all of the new: the bytes go into a temporary
 * file in the same folder, which is flushed to the disk and then renamed. A link to a file stays a link,
 * and an existing file keeps its permissions.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG when the path is that of a folder, pipe or device, or may not be written;
 * ERR_LIMIT when the disk is full. No temporary file remains then.
 */
export async function writeAtomically(path: string | URL, bytes: Uint8Array): Promise<void> {
  await beside(path, async ({ target, mode, temporary, handle }) => {
    await fill(handle, bytes, mode);
    await rename(temporary, target);
    await syncFolder(dirname(target));
  });
}

/**
 * Checks what {@link writeAtomically} checks before it writes, so that long work does not fail at its end. The path keeps its
 * content.
 *
 * @param format As for {@link checkEnding}.
 * @throws {QARepVGGError} the errors of {@link writeAtomically} and {@link checkEnding}
 */
export async function checkWritable(path: string, format: FileFormat | 'report'): Promise<void> {
  checkEnding(path, format);
  await beside(path, async ({ handle }) => handle.close());
}

/** A new file in the folder of another one. */
interface Beside {
  readonly target: string;
  /** Permissions of the target, if it exists. */
  readonly mode: number | undefined;
  readonly temporary: string;
  /** The temporary file's; `use` closes it. */
  readonly handle: FileHandle;
}

/** Passes a temporary file to `use` and removes it afterwards. */
async function beside(pathOrUrl: string | URL, use: (file: Beside) => Promise<void>): Promise<void> {
  const path = pathOf(pathOrUrl);
  try {
    const target = (await orMissing(realpath(path))) ?? path;
    const existing = await orMissing(stat(target));
    if (existing && !existing.isFile()) {
      throw mismatch('ERR_INVALID_ARG', 'a file', existing.isDirectory() ? 'a folder' : 'a pipe or device');
    }
    const folder = dirname(target);
    await removeAbandoned(folder);
    const id = Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString('hex');
    const temporary = join(folder, `.qarepvgg-${id}.tmp`);
    const handle = await open(temporary, 'wx');
    try {
      await use({ target, mode: existing?.mode, temporary, handle });
    } finally {
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  } catch (error) {
    throw placed(placeOf(path), systemError('a path that can be written', error));
  }
}

async function fill(handle: FileHandle, bytes: Uint8Array, mode: number | undefined): Promise<void> {
  try {
    if (mode !== undefined) await handle.chmod(mode & 0o777);
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a rename durable. Windows cannot open folders, and does not need this. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what killed processes have left in this folder. Errors are ignored: cleaning up is optional. */
async function removeAbandoned(folder: string): Promise<void> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => temporaryName.test(name));
  for (const name of names) {
    const temporary = join(folder, name);
    const age = Date.now() - ((await stat(temporary).catch(() => undefined))?.mtimeMs ?? Number.NaN);
    if (age > abandonedAfter) await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/** Resolves to undefined where there is no such file. */
async function orMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  return promise.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
