import { types } from 'node:util';
import { describe } from '../../errors';
import type { RawTensor } from '../dtypes';

/**
 * What a checkpoint holds. Dicts are objects without a prototype, integer keys as text; lists, tuples and sets are arrays;
 * parameters are tensors. Tensors that share memory in PyTorch share it here, and most are views of the file's bytes.
 */
export type TorchValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | RawTensor
  | Opaque
  | TorchValue[]
  | { [key: string]: TorchValue };

/** Dicts are objects without a prototype, lists and tuples arrays. */
export type PickleDict = Record<string, unknown>;

/**
 * A Python object that this package does not know. Nothing of it is executed; it only has its name and what it was given. The
 * attributes of a pickled module hold its tensors.
 */
export class Opaque {
  /** "pathlib.PosixPath"; for a tensor the class of its storage. */
  readonly name: string;
  /** The argument that `__setstate__` would receive. */
  attributes: PickleDict | undefined;
  /** Its content, for a kind of dict. */
  items: PickleDict | undefined;

  constructor(name: string) {
    this.name = name;
  }
}

/** A tensor that cannot be read, such as one of complex numbers. */
export class OpaqueTensor extends Opaque {}

/** Whether a value of a checkpoint is a tensor. No other value has a typed array. */
export function isRawTensor(value: unknown): value is RawTensor {
  return typeof value === 'object' && value !== null && 'data' in value && types.isTypedArray(value.data);
}

export function newDict(): PickleDict {
  return Object.create(null) as PickleDict;
}

export function isDict(value: unknown): value is PickleDict {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null;
}

/**
 * Puts an item into a dict. An entry whose key is not a name, or has the same name as another (1 and "1"), cannot be looked up:
 * it becomes opaque, and the rest of the dict stays valid.
 */
export function setItem(dict: PickleDict, key: unknown, value: unknown): void {
  const isName = typeof key === 'string' || typeof key === 'bigint' || Number.isSafeInteger(key);
  const name = isName ? String(key) : `key ${describe(key)}`;
  dict[name] = isName && !(name in dict) ? value : new Opaque(`an entry under the key ${describe(key)}`);
}
