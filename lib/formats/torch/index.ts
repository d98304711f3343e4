/**
 * Reads files of `torch.save`, before PyTorch 1.6 and since. Nothing in the file is executed: a short list of Python's classes is
 * implemented by functions of this package, and all others are opaque.
 */
import { mismatch } from '../../errors';
import { atOnce, inSlices, type Steps } from '../../slices';
import { checkStart } from '../file-format';
import { useFile, withFile } from '../files';
import type { FileSource } from '../sources';
import { parseArchive } from './archive';
import { Budget } from './budget';
import { legacyStart, parseLegacy } from './legacy';
import type { TorchValue } from './values';

export { type FindStateDictOptions, type FoundStateDict, findStateDict } from './state-dict';
export { isRawTensor, Opaque, type TorchValue } from './values';

/**
 * Reads a file that `torch.save` has written, such as a state dict, a checkpoint, or a whole module.
 *
 * @throws {QARepVGGError} ERR_MODEL_FORMAT for a damaged file and for TorchScript; ERR_LIMIT above 4 GiB, and for objects
 * far larger than the file; the errors of {@link withFile} for the path.
 *
 * @example
 * const checkpoint = await readTorch('checkpoint.pth');
 * const { tensors } = findStateDict(checkpoint);
 */
export function readTorch(path: FileSource): Promise<TorchValue> {
  return useFile(path, async (file) => inSlices(torchSteps(await file.read(file.size))));
}

/** Same as {@link readTorch}, from bytes. */
export function parseTorch(file: Uint8Array): TorchValue {
  return atOnce(torchSteps(file));
}

/** Same as {@link readTorch}, from bytes, in steps. */
export function* torchSteps(file: Uint8Array): Steps<TorchValue> {
  const budget = new Budget(file.length);
  const start = Buffer.from(file.subarray(0, 8)).toString('latin1');
  if (start.startsWith('PK\x03\x04')) return yield* parseArchive(file, budget);
  if (start === legacyStart) return yield* parseLegacy(file, budget);
  checkStart(file, 'PyTorch');
  throw mismatch('ERR_MODEL_FORMAT', 'a file written by torch.save', 'a file of another kind');
}
