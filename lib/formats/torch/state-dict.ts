import { describe, describeList, mismatch, quote } from '../../errors';
import { isBeside, sharedWrappers, torchWrappers } from '../../nn/state/prefixes';
import type { Traits } from '../../nn/state/traits';
import type { Steps } from '../../slices';
import type { Tensor } from '../../tensor';
import type { RawTensor } from '../dtypes';
import { tensorsToFloat32 } from '../float32';
import { type ModuleContent, readModule } from './modules';
import { isRawTensor, Opaque, OpaqueTensor, type TorchValue } from './values';

/** Options of {@link findStateDict}. */
export interface FindStateDictOptions {
  /**
   * Name of the state dict in the checkpoint; 'ema.module' for one inside another.
   * @default the first of the usual names that exists, averaged weights first, or the whole checkpoint
   */
  readonly key?: string;
}

/** A state dict, and how it was chosen. */
export interface FoundStateDict {
  /** In float32. */
  readonly tensors: Record<string, Tensor>;
  /** Its name in the checkpoint; "" for the checkpoint itself. */
  readonly key: string;
  /** Names of all state dicts in the checkpoint, the preferred ones first. */
  readonly candidates: readonly string[];
  /** The prefix that wrappers had added to every name. */
  readonly prefix: string;
  /** Names of tensors of types that this package does not read, such as complex ones. */
  readonly unread: readonly string[];
  /** Options of the module that the names do not show but the file does. */
  readonly traits: Traits;
}

/**
 * Keys under which training scripts keep averaged weights: super-gradients (ema_net), QARepVGG and torchvision (model_ema), timm
 * (state_dict_ema), RepVGG, YOLOv6, ultralytics and DETR (ema), MMEngine (ema_state_dict), and others.
 */
// biome-ignore format: many names a line
const averagedKeys = [
  'ema_net', 'model_ema', 'state_dict_ema', 'ema', 'ema_state_dict', 'model_ema_state_dict',
  'ema_model_state_dict', 'ema_model', 'model_state_dict_ema', 'params_ema', 'ema_params', 'ema_weights', 'shadow',
  'swa_state_dict', 'swa_model', 'averaged_model', 'average_model',
];

/** Keys for other weights: super-gradients has net, PyTorch's tutorial model_state_dict, timm and many more state_dict. */
const trainedKeys = ['net', 'model', 'model_state_dict', 'state_dict', 'params'];

/** Keys inside of these: DETR has { ema: { module, updates } }. */
const innerKeys = ['module', 'model', 'state_dict', 'shadow'];

/**
 * Finds the state dict in a checkpoint, averaged weights first, and removes the prefixes of wrappers. The rest of the checkpoint
 * may be of any kind.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE naming the checkpoint's keys when there is no state dict in it;
 * ERR_NON_FINITE naming a tensor with a number too large for float32; ERR_LIMIT as {@link tensorsToFloat32}.
 */
export function* findStateDict(checkpoint: TorchValue, { key }: FindStateDictOptions = {}): Steps<FoundStateDict> {
  const candidates = candidatesIn(checkpoint);
  const found = key === undefined ? candidates[0] : at(checkpoint, key);
  if (found === undefined || found.isOther) throw notFound(checkpoint, key, candidates);
  const { tensors, prefix } = unwrap(Object.entries(found.content.tensors));
  const readable = tensors.filter((entry): entry is [string, RawTensor] => isRawTensor(entry[1]));
  const unread = tensors.flatMap(([name, value]) => (value instanceof OpaqueTensor ? [name] : []));
  return {
    tensors: yield* tensorsToFloat32(readable),
    key: found.key,
    candidates: candidates.map((candidate) => candidate.key),
    prefix,
    unread,
    traits: found.content.traits,
  };
}

interface Candidate {
  readonly key: string;
  readonly content: ModuleContent;
  /** Whether its name is not one of the usual ones. */
  readonly isOther?: boolean;
}

/** At most this many keys with other names are inspected: a file may name one large dict a thousand times. */
const maxOthers = 64;

/** All state dicts in a checkpoint, the preferred ones first. */
function candidatesIn(checkpoint: TorchValue): Candidate[] {
  const dict = dictOf(checkpoint);
  const whole = contentOf(checkpoint);
  const own = whole ? [{ key: '', content: whole }] : [];
  if (!dict || whole) return own;
  const known = usualKeys(dict).flatMap((key) => (Object.hasOwn(dict, key) ? nested(key, dict[key]) : []));
  const taken = new Set(known.map(({ key }) => key.split('.')[0]));
  const others = Object.keys(dict)
    .filter((key) => !taken.has(key))
    .slice(0, maxOthers);
  return [
    ...known,
    ...others.flatMap((key) => {
      const content = contentOf(dict[key]);
      return content ? [{ key, content, isOther: true }] : [];
    }),
  ];
}

/** MMEngine swaps the two when it saves: its state_dict is the average. */
function usualKeys(dict: Record<string, unknown>): string[] {
  const averaged = Object.hasOwn(dict, 'message_hub') ? ['state_dict', ...averagedKeys] : averagedKeys;
  return [...new Set([...averaged, ...trainedKeys])];
}

function nested(key: string, value: TorchValue | undefined): Candidate[] {
  const content = contentOf(value);
  if (content) return [{ key, content }];
  const dict = dictOf(value);
  const inner = innerKeys.flatMap((name) => {
    const innerContent = dict && Object.hasOwn(dict, name) ? contentOf(dict[name]) : undefined;
    return innerContent ? [{ key: `${key}.${name}`, content: innerContent }] : [];
  });
  return inner.slice(0, 1);
}

function at(checkpoint: TorchValue, key: string): Candidate | undefined {
  let value: TorchValue | undefined = checkpoint;
  for (let rest = key; ; ) {
    const dict: Record<string, TorchValue> | undefined = dictOf(value);
    if (!dict) return undefined;
    const part = Object.hasOwn(dict, rest) ? rest : Object.keys(dict).find((name) => rest.startsWith(`${name}.`));
    if (part === undefined) return undefined;
    value = dict[part];
    if (part === rest) break;
    rest = rest.slice(part.length + 1);
  }
  const content = contentOf(value);
  return content && { key, content };
}

function dictOf(value: TorchValue | undefined): Record<string, TorchValue> | undefined {
  if (value instanceof Opaque) return value.items as Record<string, TorchValue> | undefined;
  const isPlain = typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawTensor(value);
  return isPlain ? value : undefined;
}

/** The content of a dict of tensors or a pickled module. */
function contentOf(value: TorchValue | undefined): ModuleContent | undefined {
  const dict = dictOf(value);
  if (!dict) return readModule(value);
  const entries = Object.entries(dict).filter(([name, member]) => isTensor(member) || !isBeside(name));
  if (!entries.some(([, member]) => isRawTensor(member)) || entries.some(([, member]) => !isTensor(member))) {
    return undefined;
  }
  return { tensors: Object.fromEntries(entries) as ModuleContent['tensors'], traits: {} };
}

function isTensor(value: TorchValue | undefined): boolean {
  return isRawTensor(value) || value instanceof OpaqueTensor;
}

function unwrap<T>(entries: readonly [string, T][]): { tensors: readonly [string, T][]; prefix: string } {
  const inner = entries.filter(([name]) => !isBeside(name));
  const prefix = sharedWrappers(
    inner.map(([name]) => name),
    torchWrappers,
  );
  if (prefix === '') return { tensors: entries, prefix };
  return { tensors: inner.map(([name, value]) => [name.slice(prefix.length), value]), prefix };
}

function notFound(checkpoint: TorchValue, key: string | undefined, candidates: readonly Candidate[]) {
  const dict = dictOf(checkpoint);
  if (!dict) {
    const received = checkpoint instanceof Opaque ? `a ${checkpoint.name}` : describe(checkpoint);
    return mismatch('ERR_MODEL_INCOMPATIBLE', 'a state dict, or a dict that has one', received);
  }
  const usual = [...averagedKeys, ...trainedKeys].join(', ');
  const expected = `a dict of tensors ${key === undefined ? `at the top or under ${usual}` : `under ${quote(key)}`}`;
  const names = candidates.map((candidate) => candidate.key);
  const advice = names.length > 0 ? `; name one as key (--key): ${describeList(names)}` : '';
  const odd = oddMember(key === undefined ? dict : dictOf(dict[key]));
  const received = odd ?? `the keys ${describeList(Object.keys(dict))}`;
  return mismatch('ERR_MODEL_INCOMPATIBLE', expected, `${received}${advice}`);
}

/** The member that shows that a dict with tensors is not a state dict. */
function oddMember(dict: Record<string, TorchValue> | undefined): string | undefined {
  const members = Object.entries(dict ?? {});
  if (!members.some(([, value]) => isRawTensor(value))) return undefined;
  const [name, value] = members.find(([other, member]) => !isBeside(other) && !isTensor(member)) ?? [];
  if (name === undefined) return undefined;
  return `a dict with ${quote(name)}, ${value instanceof Opaque ? value.name : describe(value)}`;
}
