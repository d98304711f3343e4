import { boundary, describe, mismatch } from '../errors';
import { type Field, readForeign, wrongOption } from '../options';
import { cocoLabels } from './coco-labels';
import { imageNetLabels } from './imagenet-labels';
import { readText } from './text-file';

const maxLabels = 65_536;
const maxBytes = 2 ** 22;

/**
 * Names of classes from a text file, one on each line; empty lines at the end do not count.
 *
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG for a file that cannot be read, is no text, or has an empty line between
 * others; ERR_LIMIT above 65,536 names.
 *
 * @example
 * const classifier = await Classifier.create('flowers.onnx', { labels: await readLabels('flowers.txt') });
 */
export async function readLabels(path: string): Promise<string[]> {
  return boundary('readLabels', async () => {
    if (typeof path !== 'string') throw mismatch('ERR_INVALID_ARG', 'a path', describe(path));
    const lines = (await readText(path, maxBytes)).trimEnd().split(/\r?\n/);
    if (lines.length > maxLabels) throw mismatch('ERR_LIMIT', `at most ${maxLabels} names`, `${lines.length}`);
    const names = lines.map((line) => line.trim());
    const empty = names.indexOf('');
    if (empty !== -1) throw mismatch('ERR_INVALID_ARG', 'a name on each line', `none on line ${empty + 1}`);
    return names;
  });
}

/** Names of classes, or nothing. */
export const labelsField: Field<readonly string[] | undefined> = (value) => {
  if (value === undefined) return undefined;
  const names = readForeign(() => (Array.isArray(value) ? [...(value as unknown[])] : undefined));
  if (names?.every((name) => typeof name === 'string')) return Object.freeze(names as string[]);
  throw mismatch('ERR_INVALID_ARG', 'an array of names', describe(value));
};

/**
 * Names for `classes` classes: the caller's, else the model's own, else those of the data set that has as many.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG where there are not as many names as classes.
 */
export function labelsFor(
  classes: number,
  given: readonly string[] | undefined,
  own: readonly string[] | undefined,
): readonly string[] {
  if (given && given.length !== classes) {
    throw wrongOption('labels', `${classes} names, one for each class of the model`, `${given.length}`);
  }
  if (given) return given;
  if (own?.length === classes) return own;
  const known = [imageNetLabels, cocoLabels].find(({ length }) => length === classes);
  return known ?? Array.from({ length: classes }, (_, i) => `class ${i}`);
}
