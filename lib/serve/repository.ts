import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { mismatch, quote } from '../errors';

/** A file that holds a version of a model. */
export interface RepositoryFile {
  readonly name: string;
  readonly version: string;
  readonly path: string;
}

/** Names of models, in requests and as file names. */
export const modelName = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/;
const versionName = /^[1-9][0-9]{0,8}$/;
const modelFile = /^(.+)\.(safetensors|onnx)$/;

/**
 * What a repository holds: `NAME.safetensors` or `NAME.onnx`, or folders `NAME/VERSION/` with a file `model.safetensors` or
 * `model.onnx`. Anything else is skipped. Names come from the folder alone, never from a request.
 */
export async function listRepository(folder: string): Promise<RepositoryFile[]> {
  const files: RepositoryFile[] = [];
  for (const entry of await list(folder)) {
    const path = join(folder, entry.name);
    const match = modelFile.exec(entry.name);
    if (!entry.isDirectory() && match && modelName.test(match[1] as string)) {
      files.push({ name: match[1] as string, version: '1', path });
    } else if (entry.isDirectory() && modelName.test(entry.name)) {
      files.push(...(await listVersions(entry.name, path)));
    }
  }
  return files;
}

async function listVersions(name: string, folder: string): Promise<RepositoryFile[]> {
  const files: RepositoryFile[] = [];
  for (const version of await list(folder)) {
    if (!version.isDirectory() || !versionName.test(version.name)) continue;
    const inside = await list(join(folder, version.name));
    const file = inside.find((entry) => modelFile.exec(entry.name)?.[1] === 'model');
    if (file) files.push({ name, version: version.name, path: join(folder, version.name, file.name) });
  }
  return files.sort((a, b) => Number(a.version) - Number(b.version));
}

/** Sorted by name; without what is hidden. */
async function list(folder: string) {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter(({ name }) => !name.startsWith('.')).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    const { code = 'an error' } = error as NodeJS.ErrnoException;
    throw mismatch('ERR_INVALID_ARG', `serve, repository ${quote(folder)}`, 'a folder that can be read', code);
  }
}
