import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, describeList, mismatch } from '../errors';
import { integer, oneOf, optional, type Parsed, parseOptions, readForeign } from '../options';
import { Dataset } from './dataset';
import { type DecodedImage, decodeImage, type ImageTarget } from './decode';
import { allocateBytes, placeOf, systemError } from './files';

/** Options of {@link loadImageFolder}. */
export interface ImageFolderOptions {
  /** Height in pixels that all images shall have; needs `width` too. By default all images must be of one size. */
  readonly height?: number;
  readonly width?: number;
  /** 1: grey, 3: red, green, blue. @default 3 */
  readonly channels?: 1 | 3;
  /**
   * Names of the classes, in the order of their labels, such as those of the images that a network was trained on. Not all of
   * them need a folder; a folder of another name is refused. By default the names of the folders, sorted.
   */
  readonly classes?: readonly string[];
}

const optionalSide = optional(integer(1, 65_535));

const fields = { height: optionalSide, width: optionalSide, channels: oneOf([1, 3], 3), classes: optional(readNames) };

const imageName = /\.(ppm|jpe?g|png|webp|gif|tiff?|avif)$/i;

/** Most bytes of all images together. */
const maxBytes = 2 ** 31 - 1;

/** Images decoded at the same time: enough to keep the threads that decode them busy. */
const batchSize = 8;

/**
 * Loads images from a folder that has one folder per class, named as the class: `cats/1.jpg`, `dogs/a.png`. Classes and
 * images are in the order of their names; hidden files, and files that are not named as images, are left out.
 *
 * PPM images are read as they are; for JPEG, PNG and others, and to scale, install sharp.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG for a folder without classes, a class without images, a class that is none of the
 * option `classes`, and a file that is no image; ERR_SHAPE for images of different sizes when no size is asked for;
 * ERR_LIMIT above 2 GiB; ERR_ADDON_LOAD when sharp is needed and not installed.
 *
 * @example
 * const pets = await loadImageFolder('photos', { height: 224, width: 224 });
 * console.log(pets.length, pets.classes); // 25000 [ 'cats', 'dogs' ]
 */
export async function loadImageFolder(folder: string, options: ImageFolderOptions = {}): Promise<Dataset> {
  const where = 'loadImageFolder';
  const checked = parseOptions(where, fields, options);
  const target = readTarget(checked, where);
  const names = await listClasses(folder, where);
  const classes = checked.classes ?? names;
  const files: { path: string; label: number }[] = [];
  for (const name of names) {
    const label = classes.indexOf(name);
    if (label === -1) {
      const place = placeOf(join(folder, name), where);
      throw mismatch('ERR_INVALID_ARG', place, `a folder for one of the classes ${describeList(classes)}`, 'another');
    }
    for (const path of await listImages(join(folder, name), where)) files.push({ path, label });
  }

  const { height, width } = await decodeImage((files[0] as { path: string }).path, target, where);
  const size = height * width * target.channels;
  if (size * files.length > maxBytes) {
    const received = `${files.length} images of ${size} bytes`;
    throw mismatch('ERR_LIMIT', placeOf(folder, where), `at most ${maxBytes} bytes of images`, received);
  }
  const images = allocateBytes(size * files.length, where);
  for (let start = 0; start < files.length; start += batchSize) {
    const batch = files.slice(start, start + batchSize);
    const decoded = await Promise.all(batch.map(({ path }) => decodeImage(path, target, where)));
    decoded.forEach((image, i) => {
      checkSize(image, height, width, placeOf(batch[i]?.path, where));
      images.set(image.data, (start + i) * size);
    });
  }
  const labels = Int32Array.from(files, ({ label }) => label);
  return new Dataset({ images, dims: [height, width, target.channels], labels, classes });
}

function readNames(value: unknown, where: string): readonly string[] {
  const names = readForeign(where, () => (Array.isArray(value) ? [...(value as unknown[])] : []));
  if (names.length > 0 && names.every((name) => typeof name === 'string')) return names as string[];
  throw mismatch('ERR_INVALID_ARG', where, 'an array of names', describe(value));
}

function readTarget({ height, width, channels }: Parsed<typeof fields>, where: string): ImageTarget {
  if (height === undefined && width === undefined) return { size: undefined, channels };
  if (height === undefined || width === undefined) {
    throw mismatch('ERR_INVALID_ARG', `${where}, options`, 'both height and width', 'one of them');
  }
  return { size: { height, width }, channels };
}

async function listClasses(folder: string, where: string): Promise<string[]> {
  const names = await listNames(folder, where);
  const folders = await Promise.all(names.map((name) => isFolder(join(folder, name), where)));
  const classes = names.filter((_, i) => folders[i]);
  if (classes.length === 0) {
    throw mismatch('ERR_INVALID_ARG', placeOf(folder, where), 'a folder with a folder for each class', 'none');
  }
  return classes;
}

async function listImages(folder: string, where: string): Promise<string[]> {
  const names = (await listNames(folder, where)).filter((name) => imageName.test(name));
  if (names.length === 0) {
    throw mismatch('ERR_INVALID_ARG', placeOf(folder, where), 'at least one image in the folder of a class', 'none');
  }
  return names.map((name) => join(folder, name));
}

/** What is in a folder, sorted, without what is hidden. */
async function listNames(folder: string, where: string): Promise<string[]> {
  const place = placeOf(folder, where);
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
  } catch (error) {
    throw systemError(place, 'a folder that can be read', error);
  }
}

async function isFolder(path: string, where: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw systemError(placeOf(path, where), 'a file or folder', error);
  }
}

function checkSize(image: DecodedImage, height: number, width: number, where: string): void {
  if (image.height === height && image.width === width) return;
  const expected = `${width} x ${height} pixels as the first image`;
  const advice = 'to scale them, give the options height and width, or on the command line --input-size';
  throw mismatch('ERR_SHAPE', where, expected, `${image.width} x ${image.height}; ${advice}`);
}
