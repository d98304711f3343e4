import { boundary } from '../errors';
import { checkStateDict } from '../nn/state/load';
import type { StateDict } from '../nn/state/state';
import { noteTraits, traitsFrom, traitsOf } from '../nn/state/traits';
import { optionalText, parseOptions } from '../options';
import { inSlices } from '../slices';
import { recognize } from './file-format';
import { useFile, withinFile } from './files';
import { isOurs, producer } from './model-metadata';
import { inFloat32, readRawSafetensors, writeSafetensors } from './safetensors';
import { type FileSource, ownSource } from './sources';
import type { FoundStateDict } from './torch';

/** Loaded with the first file of PyTorch. */
const torch = (): typeof import('./torch') => require('./torch');

/** Options of {@link loadStateDict}. */
export interface LoadStateDictFileOptions {
  /**
   * Name of the state dict in a checkpoint of PyTorch, such as `model` or `ema.module`.
   * @default averaged weights if there are any (`ema_net`, `model_ema`, `state_dict_ema`, `ema`, ...), then `net`, `model`,
   * `model_state_dict`, `state_dict`, or the whole file
   */
  readonly key?: string;
}

/**
 * Writes a state dict as a safetensors file: all of it or nothing. The metadata holds the options of its module that the names of
 * tensors do not show (`eps`, `averageBranch`, strides), so that a module with other options refuses it.
 *
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG for anything but a state dict, such as a module, for a path that cannot be
 * written, and for a name that ends in .onnx; ERR_LIMIT when the disk is full; ERR_SHAPE, ERR_DTYPE, ERR_BUFFER_* for an
 * invalid tensor.
 *
 * @example
 * await saveStateDict(block.stateDict({ layout: 'timm' }), 'block.safetensors');
 */
export async function saveStateDict(stateDict: StateDict, path: string | URL): Promise<void> {
  return boundary('saveStateDict', async () => {
    checkStateDict(stateDict);
    await writeSafetensors(path, stateDict, { ...producer, ...traitsOf(stateDict) });
  });
}

/**
 * Reads the tensors of a safetensors file, or of a file that `torch.save` has written (a state dict, a whole module, or a
 * checkpoint with one of these in it), in float32. The content decides, not the name. Nothing in the file is executed, and other
 * objects in it may be of any kind. Bytes are copied before the call returns its promise.
 *
 * @throws {QARepVGGError} (rejects) ERR_MODEL_FORMAT for a damaged file, or one of another kind; ERR_MODEL_INCOMPATIBLE, with the
 * keys of the file, for a checkpoint without a state dict; ERR_NON_FINITE naming a tensor with a number beyond float32;
 * ERR_INVALID_ARG for a path that cannot be read; ERR_LIMIT, ERR_OUT_OF_MEMORY.
 *
 * @example
 * const model = createModel('repvgg_a0');
 * model.loadStateDict(await loadStateDict('RepVGG-A0-train.pth'));
 */
export async function loadStateDict(source: FileSource, options: LoadStateDictFileOptions = {}): Promise<StateDict> {
  return boundary('loadStateDict', async () => (await readStateFile(ownSource(source), options)).tensors);
}

/** Same as {@link loadStateDict}, and says how the state dict was chosen. */
export async function readStateFile(path: FileSource, options: LoadStateDictFileOptions): Promise<FoundStateDict> {
  const { key } = parseOptions({ key: optionalText }, options);
  const found = await withinFile(path, async () =>
    (await isTorch(path)) ? fromTorch(path, key) : fromSafetensors(path),
  );
  noteTraits(found.tensors, found.traits);
  return found;
}

async function fromTorch(path: FileSource, key: string | undefined): Promise<FoundStateDict> {
  const { findStateDict, readTorch } = torch();
  const checkpoint = await readTorch(path);
  return inSlices(findStateDict(checkpoint, key === undefined ? {} : { key }));
}

async function fromSafetensors(path: FileSource): Promise<FoundStateDict> {
  const { tensors, metadata, unread } = await inFloat32(await readRawSafetensors(path));
  const traits = isOurs(metadata) ? traitsFrom(metadata) : {};
  return { tensors, key: '', candidates: [''], prefix: '', unread: Object.keys(unread), traits };
}

function isTorch(path: FileSource): Promise<boolean> {
  return useFile(path, async (file) => recognize(await file.read(Math.min(9, file.size))) === 'PyTorch');
}
