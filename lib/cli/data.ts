import { join } from 'node:path';
import { mismatch } from '../errors';
import { classNames, countClasses } from '../formats/class-names';
import { placeOf } from '../formats/files';
import { type IdxSplit, isIdxImages, loadIdxFolder } from '../formats/idx-folder';
import { type InputSize, sizeOf } from '../image-size';
import type { Dataset } from '../index';
import { loadImages } from '../vision/image-folder';
import { listFolder, listImages } from '../vision/list-images';
import { withHint } from './errors';
import { misuse } from './usage';

/** How to read the images of a folder. */
export interface DataOptions {
  /** For image files. */
  readonly inputSize?: InputSize;
  /** For image files. */
  readonly inChannels?: number;
  /** Names of the classes, in the order of their labels; not every class needs a folder. */
  readonly labels?: readonly string[];
  /** Skip image files that cannot be read. */
  readonly skipUnreadable?: boolean;
  /** Labels are not needed: also accept a folder of images without classes. */
  readonly unlabelled?: boolean;
}

/** A folder that commands take as their data. */
export interface DataFolder {
  readonly train?: DataPart;
  /** Images to judge on. */
  readonly validation?: DataPart;
  /** Entries of the folder that belong to neither part. */
  readonly unused: readonly string[];
}

/** Labelled images in files, not yet loaded. */
export interface DataPart {
  readonly folder: string;
  /** Which IDX files; a folder of images has no split. */
  readonly split?: IdxSplit;
}

/** The images of a part, and what was skipped. */
export interface LoadedPart {
  readonly images: Dataset;
  /** Image files that cannot be read, with the reason. */
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
  /** Files that are not named as images. */
  readonly others: readonly string[];
}

const validationNames = ['val', 'valid', 'validation', 'test'];

/**
 * Looks at a folder: IDX files; or a folder `train` and one of `val`, `valid`, `validation`, `test`, each with a folder
 * of images for each class; or a folder of images for each class.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG for a folder that is none of these.
 */
export async function findData(folder: string): Promise<DataFolder> {
  const { folders, files } = await listFolder(folder);
  const has = (split: IdxSplit): boolean => files.some((name) => isIdxImages(name, split));
  if (has('train') || has('test')) {
    return {
      ...(has('train') && { train: { folder, split: 'train' } }),
      ...(has('test') && { validation: { folder, split: 'test' } }),
      unused: [],
    };
  }
  const judged = validationNames.find((name) => folders.includes(name));
  if (!(await isSplit(folder, folders, judged))) return { train: { folder }, unused: [] };
  const unused = [...folders.filter((name) => name !== 'train' && name !== judged).map((name) => `${name}/`), ...files];
  return {
    ...(folders.includes('train') && { train: { folder: join(folder, 'train') } }),
    ...(judged !== undefined && { validation: { folder: join(folder, judged) } }),
    unused,
  };
}

/** "train" may also be a class, beside "car" and "plane". Then it holds images, or folders of images only. */
async function isSplit(folder: string, folders: readonly string[], judged: string | undefined): Promise<boolean> {
  const first = folders.includes('train') ? 'train' : judged;
  if (first === undefined) return false;
  const { folders: inside } = await listFolder(join(folder, first));
  if (inside.length === 0) return false;
  return judged !== undefined || folders.length === 1 || inside.length > 1;
}

/** @throws {QARepVGGError} ERR_INVALID_ARG where the part is missing. */
export function partOf(part: DataPart | undefined, folder: string, what: string): DataPart {
  if (part) return part;
  throw mismatch('ERR_INVALID_ARG', placeOf(folder), `a folder with images ${what}`, 'none');
}

export async function loadPart(
  { folder, split }: DataPart,
  { inputSize, inChannels, labels, skipUnreadable, unlabelled }: DataOptions,
): Promise<LoadedPart> {
  if (split) {
    const images = await loadIdxFolder(folder, split, async (values) =>
      labels ? enough(labels, values) : classNames(folder, values),
    );
    return { images, skipped: [], others: [] };
  }
  const skipped: { path: string; reason: string }[] = [];
  const list = await listImages(folder, unlabelled);
  const images = await loadImages(folder, list, {
    ...(inputSize !== undefined && sides(inputSize)),
    ...(inChannels !== undefined && { channels: inChannels as 1 | 3 }),
    ...(labels && { classes: labels }),
    onUnreadable: (path, error) => {
      if (!skipUnreadable) throw withHint(error);
      skipped.push({ path, reason: error.message });
    },
  });
  return { images, skipped, others: list.others };
}

function sides(inputSize: InputSize): { height: number; width: number } {
  const [height, width] = sizeOf(inputSize);
  return { height, width };
}

/** @throws {QARepVGGError} ERR_INVALID_ARG for fewer names than classes. */
function enough(names: readonly string[], labels: Int32Array): readonly string[] {
  const count = countClasses(labels);
  if (names.length >= count) return names;
  throw misuse('--labels', `${count} names, one for each class of the data`, `${names.length}`);
}
