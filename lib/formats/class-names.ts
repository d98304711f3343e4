import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fashionMnistClasses } from './fashion-mnist';
import { exists } from './files';
import { readLabels } from './labels-file';

/** File beside IDX files with the names of the classes, one on each line. */
const labelsFile = 'labels.txt';

/** SHA-256 of the labels of Fashion-MNIST: its files have the same names as MNIST's, whose classes are digits. */
const fashionMnist: readonly string[] = [
  '657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7',
  '3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9',
];

/**
 * Names for the labels of IDX files in a folder: those in its `labels.txt`, else the classes of Fashion-MNIST if the labels are
 * its labels, else "0", "1", ...
 */
export async function classNames(folder: string, labels: Int32Array): Promise<readonly string[]> {
  const path = join(folder, labelsFile);
  if (await exists(path)) return readLabels(path);
  const digest = createHash('sha256').update(Uint8Array.from(labels)).digest('hex');
  if (fashionMnist.includes(digest)) return fashionMnistClasses;
  return Array.from({ length: countClasses(labels) }, (_, label) => `${label}`);
}

/** One more than the highest label. */
export function countClasses(labels: Int32Array): number {
  let highest = -1;
  for (const label of labels) highest = Math.max(highest, label);
  return highest + 1;
}
