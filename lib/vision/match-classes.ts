import { didYouMean } from '../did-you-mean';
import { describeList, mismatch, quote } from '../errors';

/** Which of a model's classes the classes of data are. */
export interface ClassMatch {
  /** For each class of the data, the index of the model's class. */
  readonly indices: readonly number[];
  /** By name; or by order, where the two share no name and have as many classes. */
  readonly by: 'name' | 'order';
}

/**
 * Finds the classes of data among those of a model. Folders of ImageNet are named n01440764 and the like, in the order of
 * the classes.
 *
 * @param inOrder Whether the names are all that the data tell, so that the order may decide.
 * @throws {QARepVGGError} ERR_INVALID_ARG for a name that the model does not have, or has twice.
 */
export function matchClasses(names: readonly string[], labels: readonly string[], inOrder: boolean): ClassMatch {
  const places = new Map<string, number>();
  const doubles = new Set<string>();
  labels.forEach((label, i) => {
    if (places.has(label)) doubles.add(label);
    else places.set(label, i);
  });
  if (inOrder && names.length === labels.length && !names.some((name) => places.has(name))) {
    return { indices: names.map((_, i) => i), by: 'order' };
  }
  const indices = names.map((name) => {
    const place = places.get(name);
    if (place !== undefined && !doubles.has(name)) return place;
    const expected = `names of one class of the model each (${describeList(labels.slice(0, 8))}${labels.length > 8 ? ', ...' : ''})`;
    const received =
      place === undefined ? `${quote(name)}${didYouMean(name, labels)}` : `${quote(name)}, the name of two`;
    throw mismatch('ERR_INVALID_ARG', 'classes', expected, received);
  });
  return { indices, by: 'name' };
}
