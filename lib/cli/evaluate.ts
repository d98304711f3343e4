import { stat } from 'node:fs/promises';
import { placed } from '../errors';
import { placeOf, systemError } from '../formats/files';
import { evaluateBoxes } from './evaluate-boxes';
import { evaluateClasses } from './evaluate-classes';
import type { EvaluateFlags } from './evaluate-command';
import { misuse } from './usage';

/** The `evaluate` command. */
export async function evaluateModel(flags: EvaluateFlags): Promise<void> {
  if (!(await isFolder(flags.data))) return evaluateBoxes(flags);
  const { images, decoder, out } = flags;
  const odd = Object.entries({ images, decoder, out }).find(([, value]) => value !== undefined)?.[0];
  if (odd !== undefined) throw misuse(`--${odd}`, "--data with a file in COCO's format", 'a folder');
  return evaluateClasses(flags);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw placed(`--data, ${placeOf(path)}`, systemError('a folder or a file', error));
  }
}
