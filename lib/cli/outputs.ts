import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { didYouMean } from '../did-you-mean';
import { quote, within } from '../errors';
import { checkWritable } from '../formats/atomic';
import { checkEnding, type FileFormat, formatOf } from '../formats/file-format';
import { exists } from '../formats/files';
import { checkUsage, misuse } from './usage';

/** A file that a command will write. */
export interface Output {
  /** As the help calls it: "--out", "<to>". */
  readonly name: string;
  readonly file: string;
  readonly format: FileFormat | 'report';
}

/** Names of files that this package writes; images have other names. */
const ownName = /\.(safetensors|onnx|html|json)$/i;

/**
 * Checks the files that a command will write before it begins to work: their names fit, none of them is another file that it
 * reads or writes, and they can be written.
 *
 * @param inputs Files and folders that the command reads. An existing file in such a folder is not replaced, unless its name
 * is not that of an image.
 * @throws {QARepVGGError} ERR_INVALID_ARG for the names
 * @throws {QARepVGGError} ERR_INVALID_ARG, ERR_LIMIT for a file that cannot be written
 */
export async function checkOutputs(outputs: readonly Output[], inputs: readonly string[] = []): Promise<void> {
  const taken = new Map<string, string>();
  const inputPaths = await Promise.all(inputs.map(identify));
  for (const input of inputPaths) taken.set(input, 'the file that is read');
  for (const { name, file, format } of outputs) {
    checkUsage(() => within(name, () => checkEnding(file, format)));
    if (format !== 'report') within(name, () => refuseMistyped(file));
    const identity = await identify(file);
    const other = taken.get(identity);
    if (other !== undefined) throw misuse(name, 'a file of its own', `${quote(file)}, ${other}`);
    const isAmongImages = inputPaths.some((input) => identity.startsWith(input + path.sep)) && !ownName.test(identity);
    if (isAmongImages && (await exists(identity))) {
      throw misuse(name, 'a file of its own', `${quote(file)}, which is in the folder that is read`);
    }
    taken.set(identity, `that of ${name}`);
  }
  for (const { name, file, format } of outputs) await within(name, () => checkWritable(file, format));
}

/** Refuses `int8.onx`: such a file would not be of the kind that its name seems to say. */
function refuseMistyped(file: string): void {
  const ending = path.extname(file).slice(1);
  const hint = didYouMean(ending, ['onnx', 'safetensors']);
  if (formatOf(file) === undefined && hint !== '') {
    throw misuse('a name that ends in .onnx or .safetensors', quote(`.${ending}`) + hint);
  }
}

/** The same text for the same file, whether it is there or not. */
async function identify(file: string): Promise<string> {
  const folder = path.dirname(path.resolve(file));
  return realpath(file).catch(async () => path.join(await realpath(folder).catch(() => folder), path.basename(file)));
}
