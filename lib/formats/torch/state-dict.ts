import { describe, describeList, mismatch, quote } from '../../errors';
import type { Tensor } from '../../tensor';
import { type RawTensor, tensorsToFloat32 } from '../dtypes';
import { isRawTensor, type TorchValue } from './values';

/** Options of {@link findStateDict}. */
export interface FindStateDictOptions {
  /**
   * Name of the state dict in the checkpoint.
   * @default the first of `ema_net`, `net`, `model_ema`, `model`, `model_state_dict`, `state_dict`, or the whole checkpoint
   */
  readonly key?: string;
}

/**
 * Where training scripts keep the weights, averaged ones first: super-gradients has ema_net and net; QARepVGG, RepVGG and
 * torchvision have model_ema and model; PyTorch's tutorial has model_state_dict; timm and many others have state_dict.
 */
const usualKeys = ['ema_net', 'net', 'model_ema', 'model', 'model_state_dict', 'state_dict'];

/** Put in front of every name by DataParallel and by averaged models, by one around the other twice. */
const wrapper = 'module.';

/** A counter that torch's AveragedModel keeps beside the wrapped model. */
const averageCounter = 'n_averaged';

/**
 * The state dict in a checkpoint, in float32 and without the prefix `module.` of data-parallel and averaged models.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE naming the checkpoint's keys when there is no state dict in it;
 * ERR_NON_FINITE naming a tensor with a number too large for float32.
 *
 * @example
 * block.loadStateDict(findStateDict(await readTorch('checkpoint.pth')));
 */
export function findStateDict(
  checkpoint: TorchValue,
  { key }: FindStateDictOptions = {},
  where = 'findStateDict',
): Record<string, Tensor> {
  if (!isObject(checkpoint)) {
    throw mismatch('ERR_MODEL_INCOMPATIBLE', where, 'a state dict, or a dict that has one', describe(checkpoint));
  }
  const keys = key === undefined ? usualKeys : [key];
  const candidates = keys.map((name) => (Object.hasOwn(checkpoint, name) ? checkpoint[name] : undefined));
  if (key === undefined) candidates.push(checkpoint);
  const found = candidates.find(isStateDict);
  if (found === undefined) {
    const names = Object.keys(checkpoint);
    const expected = `a dict of tensors ${key === undefined ? `at the top or under ${usualKeys.join(', ')}` : `under ${quote(key)}`}`;
    const others = names.filter((name) => isStateDict(checkpoint[name]));
    const advice = others.length > 0 ? `; name one as key (--key): ${describeList(others)}` : '';
    throw mismatch('ERR_MODEL_INCOMPATIBLE', where, expected, `the keys ${describeList(names)}${advice}`);
  }
  return tensorsToFloat32(unwrap(Object.entries(found)), where);
}

function unwrap<T>(entries: readonly [string, T][]): readonly [string, T][] {
  const inner = entries.filter(([name]) => name !== averageCounter);
  const wrapped = inner.length > 0 && inner.every(([name]) => name.startsWith(wrapper));
  return wrapped ? unwrap(inner.map(([name, value]) => [name.slice(wrapper.length), value])) : entries;
}

function isObject(value: TorchValue | undefined): value is { [key: string]: TorchValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawTensor(value);
}

function isStateDict(value: TorchValue | undefined): value is Record<string, RawTensor> {
  if (!isObject(value)) return false;
  const members = Object.values(value);
  return members.length > 0 && members.every(isRawTensor);
}
