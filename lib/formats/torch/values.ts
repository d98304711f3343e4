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
 * An object of Python's that this package does not know: nothing of it is executed, and it is of no use but for what it is
 * called and what it was given. Tensors of a pickled module are among its attributes.
 */
export class Opaque {
  /** "pathlib.PosixPath"; for a tensor the class of its storage. */
  readonly name: string;
  /** What `__setstate__` would have been given. */
  attributes: PickleDict | undefined;
  /** Its content where it is a kind of dict. */
  items: PickleDict | undefined;

  constructor(name: string) {
    this.name = name;
  }
}

/** A tensor that cannot be read, of complex numbers for example. */
export class OpaqueTensor extends Opaque {}

/** Whether a value of a checkpoint is a tensor. Nothing else in it has a typed array. */
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
 * Puts an item into a dict. An entry under a key that is no name, or under one that another key has here (1 and "1"), cannot be
 * asked for: it becomes opaque, and the rest of the dict stays good.
 */
export function setItem(dict: PickleDict, key: unknown, value: unknown): void {
  const isName = typeof key === 'string' || typeof key === 'bigint' || Number.isSafeInteger(key);
  const name = isName ? String(key) : `key ${describe(key)}`;
  dict[name] = isName && !(name in dict) ? value : new Opaque(`an entry under the key ${describe(key)}`);
}
