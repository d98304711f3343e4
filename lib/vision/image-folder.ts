import { join } from 'node:path';
import { didYouMean } from '../did-you-mean';
import { boundary, describe, describeList, mismatch, type QARepVGGError, quote, within } from '../errors';
import { Dataset } from '../formats/dataset';
import { allocateBytes, placeOf } from '../formats/files';
import { callback, optional, parseOptions, readForeign } from '../options';
import { decodeImage } from './decode';
import { type ImageList, listImages } from './list-images';
import type { Pixels } from './pixels';
import { type ReadImageOptions, readDecodeOptions, readImageFields } from './read-image';
import { isUnreadable } from './unreadable';

/** Options of {@link loadImageFolder}; without `height` and `width`, all images must be of one size. */
export interface ImageFolderOptions extends ReadImageOptions {
  /**
   * Names of the classes, in the order of their labels, such as those of the images that a network was trained on. Not every
   * class needs a folder; a folder of another name is refused. By default the names of the folders, sorted.
   */
  readonly classes?: readonly string[];
  /**
   * Called for every image that cannot be decoded, which is then skipped. By default such an image ends the loading. The
   * function may throw to end the loading.
   */
  readonly onUnreadable?: Skip;
}

/** Receives the path and the error of an image that is skipped. */
type Skip = (path: string, error: QARepVGGError) => void;

const fields = { ...readImageFields, classes: optional(readNames), onUnreadable: optional(callback<Skip>()) };

/** Most bytes of all images together. */
const maxBytes = 2 ** 31 - 1;

/** Images decoded at the same time: enough to keep the threads that decode them busy. */
const batchSize = 8;

/**
 * Loads images from a folder that has one folder per class, named as the class: `cats/1.jpg`, `dogs/2019/a.png`. Classes and
 * images are in the order of their names; hidden files and files without the name of an image are skipped.
 *
 * PGM and PPM images are read as they are; for JPEG, PNG and others, and to scale, install sharp. How they are read:
 * {@link readImage}.
 *
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG for a folder without classes, a class without images, a class that is none
 * of the option `classes`, and a file that is no image; ERR_SHAPE for images of different sizes when no size is asked for;
 * ERR_LIMIT above 2 GiB; ERR_ADDON_LOAD when sharp is needed and not installed; ERR_ABORTED.
 *
 * @example
 * const pets = await loadImageFolder('photos', { height: 224, width: 224 });
 * console.log(pets.length, pets.classes); // 25000 [ 'cats', 'dogs' ]
 */
export async function loadImageFolder(folder: string, options: ImageFolderOptions = {}): Promise<Dataset> {
  return boundary('loadImageFolder', async () => loadImages(folder, await listImages(folder), options));
}

/** Same as {@link loadImageFolder}, of a folder that has been listed. */
export async function loadImages(
  folder: string,
  { classes: names, images: files }: ImageList,
  options: ImageFolderOptions,
): Promise<Dataset> {
  const { classes = names, onUnreadable, ...rest } = parseOptions(fields, options);
  const target = readDecodeOptions(rest);
  const labels = names.map((name) => labelOf(name, classes, folder));

  const read = async (path: string): Promise<Pixels | undefined> => {
    try {
      return await decodeImage(path, target);
    } catch (error) {
      if (!onUnreadable || !isUnreadable(error)) throw error;
      onUnreadable(path, error);
      return undefined;
    }
  };
  const collected = new Collector(files.length, folder);
  for (let start = 0; start < files.length; start += batchSize) {
    const batch = files.slice(start, start + batchSize);
    const decoded = await Promise.all(batch.map(({ path }) => read(path)));
    for (const [i, { path, label }] of batch.entries()) {
      const image = decoded[i];
      if (image) collected.add(image, labels[label] as number, path);
    }
  }
  return collected.dataset(classes);
}

/** Images of one size, side by side. */
class Collector {
  readonly #labels: number[] = [];
  #first: Pixels | undefined;
  #images: Uint8Array = new Uint8Array();

  constructor(
    readonly most: number,
    readonly folder: string,
  ) {}

  add(image: Pixels, label: number, path: string): void {
    const first = this.#first ?? this.#begin(image);
    within(placeOf(path), () => checkSize(image, first));
    this.#images.set(image.data, this.#labels.length * image.data.length);
    this.#labels.push(label);
  }

  dataset(classes: readonly string[]): Dataset {
    if (!this.#first) {
      throw mismatch('ERR_INVALID_ARG', placeOf(this.folder), 'at least one image that can be read', 'none');
    }
    const { height, width, channels, data } = this.#first;
    const images = this.#images.subarray(0, this.#labels.length * data.length);
    return new Dataset({ images, dims: [height, width, channels], labels: Int32Array.from(this.#labels), classes });
  }

  #begin(image: Pixels): Pixels {
    const size = image.data.length;
    if (size * this.most > maxBytes) {
      const received = `${this.most} images of ${size} bytes`;
      throw mismatch('ERR_LIMIT', placeOf(this.folder), `at most ${maxBytes} bytes of images`, received);
    }
    this.#images = allocateBytes(size * this.most);
    this.#first = image;
    return image;
  }
}

function labelOf(name: string, classes: readonly string[], folder: string): number {
  const label = classes.indexOf(name);
  if (label !== -1) return label;
  const place = placeOf(join(folder, name));
  const received = quote(name) + didYouMean(name, classes);
  throw mismatch('ERR_INVALID_ARG', place, `a folder for one of the classes ${describeList(classes)}`, received);
}

function readNames(value: unknown): readonly string[] {
  const names = readForeign(() => (Array.isArray(value) ? [...(value as unknown[])] : []));
  if (names.length > 0 && names.every((name) => typeof name === 'string')) return names as string[];
  throw mismatch('ERR_INVALID_ARG', 'an array of names', describe(value));
}

function checkSize(image: Pixels, { height, width }: Pixels): void {
  if (image.height === height && image.width === width) return;
  const expected = `${width} x ${height} pixels as the first image`;
  const advice = 'to scale them, set the options height and width, or on the command line --size';
  throw mismatch('ERR_SHAPE', expected, `${image.width} x ${image.height}; ${advice}`);
}
