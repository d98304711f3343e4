/**
 * Reads what `torch.save` writes (PyTorch 1.6 and later): a ZIP archive of `data.pkl`, the objects, and `data/0`,
 * `data/1`, ..., the memory of the tensors. Nothing in the file is executed: of Python's objects only those on a short list
 * exist here, each as a function of this package.
 */
import { describe, mismatch, type QARepVGGError } from '../../errors';
import { withFile } from '../files';
import { TorchHost } from './host';
import { unpickle } from './pickle';
import type { TorchValue } from './values';
import { extract, readDirectory } from './zip';

export { type FindStateDictOptions, findStateDict } from './state-dict';
export { isRawTensor, type TorchValue } from './values';

/** Objects in a pickle take some 20 bytes each; this is more than any checkpoint of this package's networks has. */
const maxPickleBytes = 2 ** 24;

/**
 * Reads a file that `torch.save` has written, such as a state dict or a checkpoint of tensors and plain values.
 *
 * @throws {QARepVGGError} ERR_MODEL_FORMAT for a damaged file, for TorchScript, for the format before PyTorch 1.6, and for
 * objects other than tensors and plain values, with their name; ERR_LIMIT above 4 GiB; as {@link withFile} for the path.
 *
 * @example
 * const checkpoint = await readTorch('checkpoint.pth');
 * const stateDict = findStateDict(checkpoint);
 */
export function readTorch(path: string, where = 'readTorch'): Promise<TorchValue> {
  return withFile(path, where, async (file) => parseTorch(await file.read(file.size), file.where));
}

/** As {@link readTorch}, from bytes. */
export function parseTorch(file: Uint8Array, where = 'parseTorch'): TorchValue {
  checkKind(file, where);
  const directory = readDirectory(file, where);
  const prefix = findPrefix(
    directory.entries.map(({ name }) => name),
    where,
  );
  const entries = extract(file, directory, where);
  const pickle = entries.get(`${prefix}data.pkl`) as Uint8Array;
  if (pickle.length > maxPickleBytes) {
    throw mismatch('ERR_LIMIT', where, `at most ${maxPickleBytes} bytes in data.pkl`, `${pickle.length}`);
  }
  const order = entries.get(`${prefix}byteorder`);
  if (order !== undefined && Buffer.from(order).toString('latin1') !== 'little') {
    throw broken(where, 'little-endian tensors', 'another byte order');
  }
  const place = `${where}, data.pkl`;
  const host = new TorchHost((key) => entries.get(`${prefix}data/${key}`), file.length, place);
  return unpickle(pickle, host, place) as TorchValue;
}

function checkKind(file: Uint8Array, where: string): void {
  const start = Buffer.from(file.subarray(0, 8)).toString('latin1');
  if (start.startsWith('PK\x03\x04')) return;
  // A pickle of the number 0x1950a86a20f9469cfc6c.
  if (start === '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46') {
    throw broken(
      where,
      'a file of PyTorch 1.6 or later',
      'the older format; save it anew: torch.save(torch.load(path, map_location="cpu"), new_path)',
    );
  }
  throw broken(where, 'a file that torch.save has written', `one that starts with ${describe(start)}`);
}

/** The folder in the archive that holds everything, with its slash. */
function findPrefix(names: readonly string[], where: string): string {
  const prefixes = names.flatMap((name) => /^([^/]+\/)data\.pkl$/.exec(name)?.[1] ?? []);
  const [prefix] = prefixes;
  if (prefix === undefined || prefixes.length > 1) {
    throw broken(where, 'one data.pkl in the archive, as torch.save writes it', `${prefixes.length}`);
  }
  if (names.some((name) => name === `${prefix}constants.pkl` || name.startsWith(`${prefix}code/`))) {
    throw broken(
      where,
      'tensors and plain values',
      'a TorchScript program; save its tensors: torch.save(torch.jit.load(path).state_dict(), new_path)',
    );
  }
  return prefix;
}

function broken(where: string, expected: string, received: string): QARepVGGError {
  return mismatch('ERR_MODEL_FORMAT', where, expected, received);
}
