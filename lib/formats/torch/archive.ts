import { mismatch, stepsWithin } from '../../errors';
import type { Steps } from '../../slices';
import { archiveKind } from '../file-kinds';
import type { Budget } from './budget';
import { TorchHost } from './host';
import { unpickle } from './pickle';
import type { TorchValue } from './values';
import { extract, readDirectory } from './zip';

/**
 * Reads the format of PyTorch 1.6 and later: a ZIP archive of `data.pkl`, the objects, and `data/0`, `data/1`, ..., the
 * storages.
 */
export function* parseArchive(file: Uint8Array, budget: Budget): Steps<TorchValue> {
  const directory = yield* readDirectory(file);
  const prefix = findPrefix(directory.entries.map(({ name }) => name));
  const entries = yield* extract(file, directory);
  const pickle = entries.get(`${prefix}data.pkl`) as Uint8Array;
  const order = entries.get(`${prefix}byteorder`);
  if (order !== undefined && Buffer.from(order).toString('latin1') !== 'little') {
    throw mismatch('ERR_MODEL_FORMAT', 'little-endian tensors', 'another byte order');
  }
  return yield* stepsWithin(
    'data.pkl',
    readObjects(pickle, budget, (key) => entries.get(`${prefix}data/${key}`)),
  );
}

function* readObjects(
  pickle: Uint8Array,
  budget: Budget,
  contentOf: (key: string) => Uint8Array | undefined,
): Steps<TorchValue> {
  const host = new TorchHost(budget);
  const { value, end } = yield* unpickle(pickle, 0, host, budget);
  if (end !== pickle.length) {
    throw mismatch('ERR_MODEL_FORMAT', 'the end of the pickle with one value', 'bytes after it');
  }
  yield* host.fill(contentOf);
  return value as TorchValue;
}

/** The folder in the archive that holds everything, with its slash. */
function findPrefix(names: readonly string[]): string {
  const prefixes = names.flatMap((name) => /^([^/]+\/)data\.pkl$/.exec(name)?.[1] ?? []);
  const [prefix] = prefixes;
  if (prefix === undefined || prefixes.length > 1) {
    const expected = 'one data.pkl in the archive, as torch.save writes it';
    const received = prefix === undefined ? archiveKind(names) : `${prefixes.length}`;
    throw mismatch('ERR_MODEL_FORMAT', expected, received);
  }
  if (names.some((name) => name === `${prefix}constants.pkl` || name.startsWith(`${prefix}code/`))) {
    const received = 'a TorchScript program; save its tensors: torch.save(torch.jit.load(path).state_dict(), new_path)';
    throw mismatch('ERR_MODEL_FORMAT', 'tensors and plain values', received);
  }
  return prefix;
}
