import { types } from 'node:util';
import { boundary, describe, failure, mismatch, type QARepVGGError, quote, within } from '../errors';
import { decodeText, readText } from './text-file';

/** Upper left corner and size in pixels. */
export type CocoBox = readonly [x: number, y: number, width: number, height: number];

/** Names are those of COCO's files. */
export interface CocoImage {
  readonly id: number;
  readonly file_name: string;
  readonly width: number;
  readonly height: number;
}

export interface CocoCategory {
  readonly id: number;
  readonly name: string;
}

/** An object in an image. */
export interface CocoAnnotation {
  readonly image_id: number;
  readonly category_id: number;
  readonly bbox: CocoBox;
  /** Area of the object itself, which is less than its box's. @default that of the box */
  readonly area?: number;
  /** 1: a group, in which any number of boxes are right. @default 0 */
  readonly iscrowd?: 0 | 1;
}

/** A box that a detector has found, as in COCO's files of results. */
export interface CocoDetection {
  readonly image_id: number;
  readonly category_id: number;
  readonly bbox: CocoBox;
  readonly score: number;
}

/** What a file of annotations holds. */
export interface CocoDataset {
  readonly images: readonly CocoImage[];
  readonly categories: readonly CocoCategory[];
  readonly annotations: readonly CocoAnnotation[];
}

const maxBytes = 2 ** 29 - 2 ** 24;
const maxEntries = 2 ** 24;

/**
 * Reads annotations in COCO's format from a file or its bytes: images, categories and boxes; everything else, such as
 * segments, is skipped.
 *
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG naming the entry at fault; ERR_LIMIT above about 500 MB.
 *
 * @example
 * const { images, annotations } = await readCoco('instances_val2017.json');
 */
export async function readCoco(source: string | Uint8Array): Promise<CocoDataset> {
  return boundary('readCoco', async () => {
    const file = await parse(source);
    const { images, categories, annotations } = toObject(file);
    return checkDataset({ images, categories, annotations });
  });
}

/** Reads a file of results in COCO's format: a list of detections. @throws {QARepVGGError} (rejects) the errors of {@link readCoco} */
export async function readCocoDetections(source: string | Uint8Array): Promise<readonly CocoDetection[]> {
  return boundary('readCocoDetections', async () => checkDetections(await parse(source)));
}

async function parse(source: string | Uint8Array): Promise<unknown> {
  const text = typeof source === 'string' ? await readText(source, maxBytes) : decodeBytes(source);
  try {
    return JSON.parse(text);
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    throw failure('ERR_INVALID_ARG', `expected JSON, received other text: ${reason}`, { cause: error });
  }
}

function decodeBytes(bytes: unknown): string {
  if (!types.isUint8Array(bytes)) throw mismatch('ERR_INVALID_ARG', 'a path or a Uint8Array', describe(bytes));
  if (bytes.length > maxBytes) throw mismatch('ERR_LIMIT', `at most ${maxBytes} bytes`, `${bytes.length}`);
  return decodeText(bytes);
}

type Fields = Readonly<Record<string, unknown>>;

/** @throws {QARepVGGError} ERR_INVALID_ARG */
export function checkDataset({
  images,
  categories,
  annotations,
}: Partial<Record<keyof CocoDataset, unknown>>): CocoDataset {
  const checked = {
    images: readList('images', images, (image) => ({
      id: identifier(image, 'id'),
      file_name: name(image, 'file_name'),
      width: side(image, 'width'),
      height: side(image, 'height'),
    })),
    categories: readList('categories', categories, (category) => ({
      id: identifier(category, 'id'),
      name: name(category, 'name'),
    })),
  };
  const imageIds = within('images', () => unique(checked.images));
  const categoryIds = within('categories', () => unique(checked.categories));
  return {
    ...checked,
    annotations: readList('annotations', annotations, (annotation) => {
      const bbox = box(annotation);
      const crowd = annotation.iscrowd ?? 0;
      if (crowd !== 0 && crowd !== 1) throw wrong('iscrowd', '0 or 1', crowd);
      const area = annotation.area ?? bbox[2] * bbox[3];
      if (!isFiniteNumber(area) || area < 0) throw wrong('area', 'a number from 0', area);
      return {
        image_id: known(annotation, 'image_id', imageIds),
        category_id: known(annotation, 'category_id', categoryIds),
        bbox,
        area,
        iscrowd: crowd,
      };
    }),
  };
}

/** @throws {QARepVGGError} ERR_INVALID_ARG */
export function checkDetections(value: unknown): CocoDetection[] {
  return readEntries(value, (detection) => {
    const { score } = detection;
    if (!isFiniteNumber(score)) throw wrong('score', 'a number', score);
    return {
      image_id: identifier(detection, 'image_id'),
      category_id: identifier(detection, 'category_id'),
      bbox: box(detection),
      score,
    };
  });
}

function toObject(value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw mismatch('ERR_INVALID_ARG', 'an object', describe(value));
}

function readList<T>(name: string, value: unknown, read: (entry: Fields) => T): T[] {
  return within(name, () => readEntries(value, read));
}

function readEntries<T>(value: unknown, read: (entry: Fields) => T): T[] {
  if (!Array.isArray(value)) throw mismatch('ERR_INVALID_ARG', 'an array', describe(value));
  if (value.length > maxEntries) throw mismatch('ERR_LIMIT', `at most ${maxEntries} entries`, `${value.length}`);
  return value.map((entry, i) => within(`[${i}]`, () => read(toObject(entry))));
}

function wrong(field: string, expected: string, received: unknown): QARepVGGError {
  return mismatch('ERR_INVALID_ARG', field, expected, describe(received));
}

function isFiniteNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function identifier(entry: Fields, field: string): number {
  const value = entry[field];
  if (Number.isSafeInteger(value)) return value as number;
  throw wrong(field, 'an integer', value);
}

function known(entry: Fields, field: string, ids: ReadonlySet<number>): number {
  const value = identifier(entry, field);
  if (ids.has(value)) return value;
  throw wrong(field, 'an id that the file lists', value);
}

function name(entry: Fields, field: string): string {
  const value = entry[field];
  if (typeof value === 'string' && value !== '' && value.length <= 4096) return value;
  throw wrong(field, 'a name', value);
}

function side(entry: Fields, field: string): number {
  const value = entry[field];
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number;
  throw wrong(field, 'an integer from 1', value);
}

function box({ bbox }: Fields): CocoBox {
  if (Array.isArray(bbox) && bbox.length === 4 && bbox.every(isFiniteNumber)) {
    const [x, y, width, height] = bbox as [number, number, number, number];
    if (width >= 0 && height >= 0) return [x, y, width, height];
  }
  throw wrong('bbox', '[x, y, width, height]', bbox);
}

function unique(entries: readonly { readonly id: number }[]): ReadonlySet<number> {
  const ids = new Set<number>();
  for (const { id } of entries) {
    if (ids.has(id)) throw mismatch('ERR_INVALID_ARG', 'each id once', `${quote(String(id))} twice`);
    ids.add(id);
  }
  return ids;
}
