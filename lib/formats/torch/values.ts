import { types } from 'node:util';
import { describe } from '../../errors';
import type { RawTensor } from '../dtypes';

/**
 * What a checkpoint holds. Dicts are objects without a prototype, with integer keys as text; lists, tuples and sets are arrays;
 * parameters are tensors. Tensors that share memory in PyTorch share it here, too, and most are views of the file's bytes.
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
 * A Python object of a class that this package does not know. None of its code is executed; it only has its name, attributes and
 * items. The attributes of a pickled module hold its tensors.
 */
export class Opaque {
  /** "pathlib.PosixPath"; for a tensor the class of its storage. */
  readonly name: string;
  /** The argument that `__setstate__` would receive. */
  attributes: PickleDict | undefined;
  /** Its content, if it is a kind of dict. */
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
 * Adds an item to a dict. If its key is not a name, or has the same text as another one (1 and "1"), it cannot be looked up: it
 * becomes opaque, and the rest of the dict stays valid.
 */
export function setItem(dict: PickleDict, key: unknown, value: unknown): void {
  const isName = typeof key === 'string' || typeof key === 'bigint' || Number.isSafeInteger(key);
  const name = isName ? String(key) : `key ${describe(key)}`;
  dict[name] = isName && !(name in dict) ? value : new Opaque(`an entry under the key ${describe(key)}`);
}
