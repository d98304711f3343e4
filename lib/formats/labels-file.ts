import { mismatch } from '../errors';
import { readWholeFile } from './files';

/** Reads names of classes from a file: one on each line, or a JSON array. @throws {QARepVGGError} ERR_INVALID_ARG */
export async function readLabels(file: string): Promise<string[]> {
  const text = Buffer.from(await readWholeFile(file))
    .toString('utf8')
    .replace(/^\uFEFF/, '');
  if (!text.startsWith('[')) return text.replace(/\r?\n$/, '').split(/\r?\n/);
  try {
    return JSON.parse(text) as string[];
  } catch (error) {
    throw mismatch('ERR_INVALID_ARG', 'an array of names in JSON', (error as Error).message);
  }
}
