import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { placeOf, systemError } from '../formats/files';
import { Dataset, loadFashionMnist, loadImageFolder } from '../index';
import { misuse } from './usage';

/** How the images of a folder are to be read. */
export interface DataOptions {
  /** Side in pixels, for image files. */
  readonly inputSize?: number;
  /** For image files. */
  readonly inChannels?: number;
  /** Names of the classes, in the order of their labels. */
  readonly labels?: readonly string[];
}

/** Images to train on, and images to judge on where the folder has some. */
export interface TrainingData {
  readonly train: Dataset;
  readonly validation?: Dataset;
}

/**
 * Opens a folder: IDX files with the names of Fashion-MNIST; or folders `train` and `val` or `test` with a folder of images
 * for each class; or a folder of images for each class.
 */
export async function openData(folder: string, options: DataOptions, where: string): Promise<TrainingData> {
  const names = await list(folder, where);
  if (hasIdx(names)) {
    const train = named(await loadFashionMnist(folder, 'train'), options.labels, where);
    if (!names.some((name) => name.startsWith('t10k-images'))) return { train };
    return { train, validation: named(await loadFashionMnist(folder, 'test'), options.labels, where) };
  }
  if (!names.includes('train')) return { train: await openImages(folder, options) };
  const other = ['val', 'test'].find((name) => names.includes(name));
  const train = await openImages(join(folder, 'train'), options);
  return other ? { train, validation: await openImages(join(folder, other), options, train.classes) } : { train };
}

/**
 * Images to judge on: of IDX files those to test, otherwise a folder of images for each class.
 *
 * @param classes Those that the network knows. A folder need not have them all, and by itself would number what it has.
 */
export async function openValidation(
  folder: string,
  options: DataOptions,
  classes: readonly string[] | undefined,
  where: string,
): Promise<Dataset> {
  if (hasIdx(await list(folder, where))) return named(await loadFashionMnist(folder, 'test'), options.labels, where);
  return openImages(folder, options, classes);
}

function openImages(
  folder: string,
  { inputSize, inChannels, labels }: DataOptions,
  classes: readonly string[] | undefined = labels,
): Promise<Dataset> {
  return loadImageFolder(folder, {
    ...(inputSize !== undefined && { height: inputSize, width: inputSize }),
    ...(inChannels !== undefined && { channels: inChannels as 1 | 3 }),
    ...(classes && { classes }),
  });
}

function hasIdx(names: readonly string[]): boolean {
  return names.some((name) => /^(train|t10k)-images-idx3-ubyte(\.gz)?$/.test(name));
}

/** @throws {UsageError} for fewer names than classes. */
function named(
  { images, dims, labels, classes }: Dataset,
  names: readonly string[] | undefined,
  where: string,
): Dataset {
  const count = labels.reduce((highest, label) => Math.max(highest, label), 0) + 1;
  if (names && names.length < count) {
    throw misuse(`${where}, --labels`, `${count} names, one for each class of the data`, `${names.length}`);
  }
  return new Dataset({ images, dims, labels, classes: names ?? classes });
}

async function list(folder: string, where: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw systemError(placeOf(folder, where), 'a folder that can be read', error);
  }
}
