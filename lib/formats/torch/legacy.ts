import { describe, type Mismatch, mismatch, type QARepVGGError, quote, within } from '../../errors';
import type { Steps } from '../../slices';
import { bytesPerElement } from '../dtypes';
import type { Budget } from './budget';
import { TorchHost } from './host';
import { unpickle } from './pickle';
import { otherElementBytes, type Storage } from './storages';
import { isDict, type TorchValue } from './values';

/** The first pickle in the file is this number. */
const magic = 0x1950a86a20f9469cfc6cn;

/** The first bytes of the file: a pickle of {@link magic}. */
export const legacyStart = '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46';

const version = 1001;

/**
 * Reads the format before PyTorch 1.6: pickles of a magic number, a version, facts about the machine, the objects and the keys of
 * the storages; then the number of elements and the bytes of each storage.
 */
export function* parseLegacy(file: Uint8Array, budget: Budget): Steps<TorchValue> {
  const host = new TorchHost(budget);
  let at = 0;
  const next = function* (): Steps<unknown> {
    const { value, end } = yield* unpickle(file, at, host, budget);
    at = end;
    return value;
  };
  checkStart(yield* next(), yield* next(), yield* next());
  const value = yield* next();
  const keys = yield* next();
  if (!Array.isArray(keys)) throw broken('a list of the keys of storages', describe(keys));
  const contents = new Map<string, Uint8Array>();
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (const key of keys as unknown[]) {
    const storage = typeof key === 'string' ? host.storages.get(key) : undefined;
    if (!storage || contents.has(storage.key)) throw broken('the key of a storage, once', describe(key));
    const place = `storage ${quote(storage.key)}`;
    if (at + 8 > file.length || view.getBigUint64(at, true) !== BigInt(storage.count)) {
      throw broken(place, `${storage.count} elements`, 'another number');
    }
    const begin = at + 8;
    at = begin + storage.count * within(place, () => elementBytes(storage));
    if (at > file.length) throw broken(place, `${at - begin} bytes`, `${file.length - begin}`);
    contents.set(storage.key, file.subarray(begin, at));
    yield;
  }
  if (at !== file.length) throw broken('the end of the file', `${file.length - at} more bytes`);
  yield* host.fill((key) => contents.get(key));
  return value as TorchValue;
}

function checkStart(first: unknown, second: unknown, machine: unknown): void {
  if (first !== magic || second !== version) throw broken(`version ${version} of the format`, describe(second));
  if (!isDict(machine) || machine.little_endian !== true) {
    throw broken('little-endian tensors', 'another byte order');
  }
}

function elementBytes({ dtype, type }: Storage): number {
  const bytes = dtype === undefined ? otherElementBytes(type) : bytesPerElement(dtype);
  if (bytes === undefined) throw broken('elements of a known size', quote(type));
  return bytes;
}

function broken(...what: Mismatch): QARepVGGError {
  return mismatch('ERR_MODEL_FORMAT', ...what);
}
