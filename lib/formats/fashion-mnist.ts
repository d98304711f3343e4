import { boundary, describe, mismatch } from '../errors';
import type { Dataset } from './dataset';
import { type IdxSplit, loadIdxFolder } from './idx-folder';

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

/**
 * Loads Fashion-MNIST (https://github.com/zalandoresearch/fashion-mnist) or a subset of it. The original has 60,000 grey images
 * of 28x28 to train and 10,000 to test; Debian's package `dataset-fashion-mnist` installs it in
 * `/usr/share/datasets/fashion-mnist`.
 *
 * @param folder Holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
 * `t10k-labels-idx1-ubyte`, each of them with or without `.gz`.
 * @throws {QARepVGGError} ERR_INVALID_ARG when the folder lacks the files; the errors of {@link loadIdx}
 *
 * @example
 * const test = await loadFashionMnist('/usr/share/datasets/fashion-mnist', 'test');
 * console.log(test.length, test.classes[test.label(0)]); // 10000 'Ankle boot'
 */
export async function loadFashionMnist(folder: string, split: 'train' | 'test'): Promise<Dataset> {
  return boundary('loadFashionMnist', () => loadIdxFolder(folder, checkSplit(split), () => fashionMnistClasses));
}

function checkSplit(split: unknown): IdxSplit {
  if (split === 'train' || split === 'test') return split;
  throw mismatch('ERR_INVALID_ARG', 'split', '"train" or "test"', describe(split));
}
