import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { mismatch, placed } from '../errors';
import { placeOf, similarName, systemError } from '../formats/files';

/** The images of a folder that has a folder for each class. */
export interface ImageList {
  /** Names of the folders, sorted. */
  readonly classes: readonly string[];
  /** In the order of their paths; `label` is an index into `classes`. */
  readonly images: readonly { readonly path: string; readonly label: number }[];
  /** Files that are not named as images, as paths within the folder. */
  readonly others: readonly string[];
}

const imageName = /\.(p[gpn]m|jpe?g|jpe|jfif|png|webp|gif|tiff?|avif|heic|heif|bmp)$/i;

/** Hidden files, and the extra files in archives from a Mac. */
const ignored = /^(\.|__MACOSX$)/;

/** Links may make circles. */
const maxDepth = 8;

/**
 * Lists `cats/1.jpg`, `cats/2019/garden/7.png`, `dogs/images/a.jpeg`: files at any depth belong to the class whose folder they
 * are in.
 *
 * @param flat Also take a folder of images without classes, as one class with the name of the folder.
 * @throws {QARepVGGError} ERR_INVALID_ARG for a folder without classes, and for a class without images.
 */
export async function listImages(folder: string, flat = false): Promise<ImageList> {
  const { folders, files } = await listFolder(folder);
  const images = files.filter((name) => imageName.test(name));
  if (flat && folders.length === 0 && images.length > 0) {
    return {
      classes: [basename(resolve(folder))],
      images: images.map((name) => ({ path: join(folder, name), label: 0 })),
      others: files.filter((name) => !imageName.test(name)),
    };
  }
  return listClasses(folder, folders, files);
}

async function listClasses(folder: string, folders: readonly string[], files: readonly string[]): Promise<ImageList> {
  if (folders.length === 0) {
    throw mismatch('ERR_INVALID_ARG', placeOf(folder), 'a folder with a folder for each class', 'none');
  }
  const images: { path: string; label: number }[] = [];
  const others = [...files];
  for (const [label, name] of folders.entries()) {
    const found = await walk(join(folder, name));
    const named = found.filter((path) => imageName.test(path));
    if (named.length === 0) {
      throw mismatch(
        'ERR_INVALID_ARG',
        placeOf(join(folder, name)),
        'at least one image in the folder of a class',
        'none',
      );
    }
    images.push(...named.map((path) => ({ path, label })));
    others.push(...found.filter((path) => !imageName.test(path)).map((path) => relative(folder, path)));
  }
  return { classes: folders, images, others };
}

/** The entries of a folder, sorted, without hidden ones; links are followed. */
export async function listFolder(folder: string): Promise<{ folders: string[]; files: string[] }> {
  const place = placeOf(folder);
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    throw placed(place, systemError('a folder that can be read', error, await similarName(folder, error)));
  }
  const lists = { folders: [] as string[], files: [] as string[] };
  for (const entry of entries) {
    if (ignored.test(entry.name)) continue;
    const isFolder = entry.isSymbolicLink() ? await leadsToFolder(join(folder, entry.name)) : entry.isDirectory();
    lists[isFolder ? 'folders' : 'files'].push(entry.name);
  }
  lists.folders.sort();
  lists.files.sort();
  return lists;
}

async function walk(folder: string, depth = 1): Promise<string[]> {
  if (depth > maxDepth) {
    throw mismatch('ERR_LIMIT', placeOf(folder), `at most ${maxDepth} folders inside each other`, 'more');
  }
  const { folders, files } = await listFolder(folder);
  const below: string[] = files.map((name) => join(folder, name));
  for (const name of folders) below.push(...(await walk(join(folder, name), depth + 1)));
  return below;
}

async function leadsToFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw placed(placeOf(path), systemError('a file or folder', error));
  }
}
