import { join } from 'node:path';
import { describe, mismatch } from '../errors';
import type { Dataset } from './dataset';
import { exists, placeOf } from './files';
import { loadIdx } from './idx';

/** The classes of Fashion-MNIST, in the order of its labels. */
export const fashionMnistClasses: readonly string[] = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
];

const prefixes = { train: 'train', test: 't10k' } as const;

/**
 * Loads Fashion-MNIST (https://github.com/zalandoresearch/fashion-mnist), grey images of 28x28: 60,000 to train and
 * 10,000 to test in the original, which Debian's package `dataset-fashion-mnist` puts into
 * `/usr/share/datasets/fashion-mnist`; or a subset of it.
 *
 * @param folder Holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
 * `t10k-labels-idx1-ubyte`, each of them with or without `.gz`.
 * @throws {QARepVGGError} ERR_INVALID_ARG when the folder lacks the files; as {@link loadIdx}
 *
 * @example
 * const test = await loadFashionMnist('/usr/share/datasets/fashion-mnist', 'test');
 * console.log(test.length, test.classes[test.label(0)]); // 10000 'Ankle boot'
 */
export async function loadFashionMnist(folder: string, split: 'train' | 'test'): Promise<Dataset> {
  const where = 'loadFashionMnist';
  if (!Object.hasOwn(prefixes, split)) {
    throw mismatch('ERR_INVALID_ARG', `${where}, split`, '"train" or "test"', describe(split));
  }
  const prefix = prefixes[split];
  const images = await find(folder, `${prefix}-images-idx3-ubyte`, where);
  const labels = await find(folder, `${prefix}-labels-idx1-ubyte`, where);
  return loadIdx(images, labels, fashionMnistClasses, where);
}

async function find(folder: string, name: string, where: string): Promise<string> {
  const place = placeOf(folder, where);
  for (const path of [join(folder, `${name}.gz`), join(folder, name)]) {
    if (await exists(path)) return path;
  }
  throw mismatch('ERR_INVALID_ARG', place, `a folder that holds ${name}.gz or ${name}`, 'none');
}
