import { join } from 'node:path';
import { mismatch } from '../errors';
import { Dataset } from './dataset';
import { exists, placeOf } from './files';
import { readLabelled } from './idx';

/** The two parts of MNIST and of data sets like it. */
export type IdxSplit = 'train' | 'test';

const prefixes: Readonly<Record<IdxSplit, string>> = { train: 'train', test: 't10k' };

/** Whether a file of this name holds the images of a split. */
export function isIdxImages(name: string, split: IdxSplit): boolean {
  return new RegExp(`^${prefixes[split]}-images[-.]idx3-ubyte(\\.gz)?$`).test(name);
}

/**
 * Loads images and labels of a split from a folder whose files are named like MNIST's.
 *
 * @param nameClasses Returns the names of the classes for the labels.
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG for a folder that lacks the files; the errors of `loadIdx`
 */
export async function loadIdxFolder(
  folder: string,
  split: IdxSplit,
  nameClasses: (labels: Int32Array) => readonly string[] | Promise<readonly string[]>,
): Promise<Dataset> {
  const prefix = prefixes[split];
  const images = await find(folder, `${prefix}-images`, 'idx3-ubyte');
  const labels = await find(folder, `${prefix}-labels`, 'idx1-ubyte');
  const source = await readLabelled(images, labels);
  return new Dataset({ ...source, classes: await nameClasses(source.labels) });
}

async function find(folder: string, name: string, ending: string): Promise<string> {
  const place = placeOf(folder);
  const names = ['-', '.'].flatMap((separator) => [`${name}${separator}${ending}.gz`, `${name}${separator}${ending}`]);
  for (const candidate of names) {
    const path = join(folder, candidate);
    if (await exists(path)) return path;
  }
  throw mismatch('ERR_INVALID_ARG', place, `a folder that holds ${names[0]} or ${names[1]}`, 'none');
}
