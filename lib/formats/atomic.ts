import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { mismatch } from '../errors';
import { checkEnding, type FileFormat } from './file-format';
import { systemError } from './files';
import { pathOf, placeOf } from './sources';

const temporaryName = /^\.qarepvgg-[\da-f]{16}\.tmp$/;

/** A temporary file that nobody has written to for so long belongs to a process that was killed. Milliseconds. */
const abandonedAfter = 3_600_000;

/**
 * Writes a file so that, whatever happens, its path holds either all of the old content or all of the new: the bytes go
 * into a temporary file in the same folder, which is flushed to the disk and then renamed. A link to a file stays a link,
 * and an existing file keeps its permissions.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG when the path is that of a folder, pipe or device, or may not be written;
 * ERR_LIMIT when the disk is full. No temporary file remains then.
 */
export async function writeAtomically(path: string | URL, bytes: Uint8Array, where: string): Promise<void> {
  await beside(path, where, async ({ target, mode, temporary, handle }) => {
    await fill(handle, bytes, mode);
    await rename(temporary, target);
    await syncFolder(dirname(target));
  });
}

/**
 * Does what {@link writeAtomically} does before it writes: what takes long can learn beforehand that its result would have
 * no place. Whatever the path holds stays as it is.
 *
 * @param format As for {@link checkEnding}.
 * @throws {QARepVGGError} as {@link writeAtomically} and {@link checkEnding}
 */
export async function checkWritable(path: string, format: FileFormat | 'report', where: string): Promise<void> {
  checkEnding(path, format, where);
  await beside(path, where, async ({ handle }) => handle.close());
}

/** A new file in the folder of another one. */
interface Beside {
  readonly target: string;
  /** Permissions of the target, if there is one. */
  readonly mode: number | undefined;
  readonly temporary: string;
  /** Of the temporary file; `use` closes it. */
  readonly handle: FileHandle;
}

/** Lets `use` have a temporary file, which is gone afterwards. */
async function beside(pathOrUrl: string | URL, where: string, use: (file: Beside) => Promise<void>): Promise<void> {
  const path = pathOf(pathOrUrl, where);
  const place = placeOf(path, where);
  try {
    const target = (await orMissing(realpath(path))) ?? path;
    const existing = await orMissing(stat(target));
    if (existing && !existing.isFile()) {
      throw mismatch('ERR_INVALID_ARG', place, 'a file', existing.isDirectory() ? 'a folder' : 'a pipe or device');
    }
    const folder = dirname(target);
    await removeAbandoned(folder);
    const temporary = join(folder, `.qarepvgg-${randomBytes(8).toString('hex')}.tmp`);
    const handle = await open(temporary, 'wx');
    try {
      await use({ target, mode: existing?.mode, temporary, handle });
    } finally {
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  } catch (error) {
    throw systemError(place, 'a path that can be written', error);
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

/** Makes a rename durable. Windows does not open folders, and needs none of this. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** What processes that were killed while they wrote into this folder have left. Failing to clean up is no failure. */
async function removeAbandoned(folder: string): Promise<void> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => temporaryName.test(name));
  for (const name of names) {
    const temporary = join(folder, name);
    const age = Date.now() - ((await stat(temporary).catch(() => undefined))?.mtimeMs ?? Number.NaN);
    if (age > abandonedAfter) await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/** `undefined` instead of the error that there is no such file. */
async function orMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  return promise.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
