import { describe, mismatch } from '../errors';
import { checkStateDict } from '../nn/load';
import type { StateDict } from '../nn/state';
import { noteTraits, traitsFrom, traitsOf } from '../nn/traits';
import { type Field, parseOptions } from '../options';
import { placeOf, withFile } from './files';
import { isOurs, producer } from './model-metadata';
import { readSafetensors, writeSafetensors } from './safetensors';
import { findStateDict, readTorch } from './torch';

/** Options of {@link loadStateDict}. */
export interface LoadStateDictFileOptions {
  /**
   * Name of the state dict in a checkpoint of PyTorch.
   * @default the first of `ema_net`, `net`, `model_ema`, `model`, `model_state_dict`, `state_dict`, or the whole file
   */
  readonly key?: string;
}

/**
 * Writes a state dict as a safetensors file, all of it or nothing. With it go the options of its module that the names of
 * tensors do not show (`eps`, `averageBranch`, strides), so that it will not be loaded into a module that would compute
 * something else with it.
 *
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG for what is no state dict, such as a module, for a path that cannot be
 * written, and for a name that ends in .onnx; ERR_LIMIT when the disk is full; ERR_SHAPE, ERR_DTYPE, ERR_BUFFER_* for a tensor that is broken.
 *
 * @example
 * await saveStateDict(block.stateDict({ layout: 'timm' }), 'block.safetensors');
 */
export async function saveStateDict(stateDict: StateDict, path: string): Promise<void> {
  const where = 'saveStateDict';
  checkStateDict(stateDict, where);
  await writeSafetensors(path, stateDict, { ...producer, ...traitsOf(stateDict) }, where);
}

/**
 * Reads the tensors of a safetensors file, or of a file that `torch.save` has written (a state dict, or a checkpoint with
 * one in it), in float32. Which of the two it is shows in the file, not in its name.
 *
 * @throws {QARepVGGError} (rejects) ERR_MODEL_FORMAT for a file of another kind, a damaged one, and one with objects other
 * than tensors and plain values; ERR_MODEL_INCOMPATIBLE, with the keys there are, for a checkpoint without a state dict;
 * ERR_NON_FINITE naming a tensor with a number that float32 has no room for; ERR_INVALID_ARG for a path that cannot be read;
 * ERR_LIMIT, ERR_OUT_OF_MEMORY.
 *
 * @example
 * const model = createModel('repvgg_a0');
 * model.loadStateDict(await loadStateDict('RepVGG-A0-train.pth'));
 */
export async function loadStateDict(path: string, options: LoadStateDictFileOptions = {}): Promise<StateDict> {
  const where = 'loadStateDict';
  const { key } = parseOptions(where, { key: optionalText }, options);
  if (await isTorch(path, where)) {
    return findStateDict(await readTorch(path, where), key === undefined ? {} : { key }, placeOf(path, where));
  }
  const { tensors, metadata } = await readSafetensors(path, where);
  if (isOurs(metadata)) noteTraits(tensors, traitsFrom(metadata));
  return tensors;
}

const optionalText: Field<string | undefined> = (value, where) => {
  if (value === undefined || typeof value === 'string') return value;
  throw mismatch('ERR_INVALID_ARG', where, 'a name', describe(value));
};

/** A ZIP archive, or a bare pickle of the time before PyTorch 1.6, which its reader refuses with advice. */
function isTorch(path: string, where: string): Promise<boolean> {
  return withFile(path, where, async (file) => {
    const [first, second] = await file.read(Math.min(2, file.size));
    return (first === 0x50 && second === 0x4b) || first === 0x80;
  });
}
