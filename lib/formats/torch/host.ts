import { describe, describeList, mismatch, type QARepVGGError, quote } from '../../errors';
import type { Steps } from '../../slices';
import { arrayOf, bytesPerElement } from '../dtypes';
import type { Budget } from './budget';
import { PickleGlobal, type PickleHost } from './pickle';
import { type Storage, storageDtype } from './storages';
import { bytesOfCopy, fillTensor, type PendingTensor, rebuildTensor } from './tensors';
import { isDict, isRawTensor, newDict, Opaque, OpaqueTensor, setItem } from './values';

/** Cost of an attribute, the same as of an item of a dict. A pickle may share one dict of attributes among many objects. */
const attributeCost = 48;

/**
 * What a PyTorch pickle may name and construct: tensors, and the plain containers that training scripts put into checkpoints.
 * Everything else is opaque. Tensors get their elements after the storages have been read: see {@link fill}.
 */
export class TorchHost implements PickleHost {
  /** By key, in the order of the file. */
  readonly storages = new Map<string, Storage>();
  readonly #budget: Budget;
  readonly #pending: PendingTensor[] = [];
  readonly #namespaces = new Set<unknown>();
  readonly #globals: Map<string, PickleGlobal>;

  constructor(budget: Budget) {
    this.#budget = budget;
    const first = ([value]: readonly unknown[]) => value;
    const list = ([items = []]: readonly unknown[]) => items;
    const dict = (args: readonly unknown[]) => this.#dict(args);
    const tensor = (args: readonly unknown[]) => this.#tensor(args);
    const functions: Record<string, (args: readonly unknown[]) => unknown> = {
      'collections.OrderedDict': dict,
      'collections.Counter': dict,
      'collections.defaultdict': () => newDict(),
      'argparse.Namespace': () => this.#namespace(),
      'torch._utils._rebuild_tensor': tensor,
      'torch._utils._rebuild_tensor_v2': tensor,
      'torch._utils._rebuild_parameter': first,
      'torch._utils._rebuild_parameter_with_state': first,
      'torch.nn.parameter.Parameter': first,
      'torch.nn.parameter.Buffer': first,
      'torch._tensor._rebuild_from_type_v2': (args) => this.#rebuildFromType(args),
      'torch.Size': list,
    };
    for (const module of ['builtins', '__builtin__']) {
      for (const name of ['set', 'frozenset', 'list', 'tuple']) functions[`${module}.${name}`] = list;
    }
    const globals = Object.entries(functions).map(([name, call]) => new PickleGlobal(name, call));
    this.#globals = new Map(globals.map((global) => [global.name, global]));
  }

  global(name: string): PickleGlobal {
    const known = this.#globals.get(name);
    if (known) return known;
    // Quantised and sparse tensors, and tensors of later versions of PyTorch.
    const isRebuild = name.startsWith('torch._utils._rebuild_');
    return new PickleGlobal(name, isRebuild ? () => new OpaqueTensor(name) : undefined);
  }

  /** ('storage', class, key, device, count of elements), or before 1.6 a class with its source code. */
  persistent(id: unknown): unknown {
    const [kind, type, key, , count, view] = Array.isArray(id) ? (id as unknown[]) : [];
    if (kind === 'module' && type instanceof Opaque) return type;
    if (kind !== 'storage' || !(type instanceof PickleGlobal) || typeof key !== 'string' || !isCount(count)) {
      throw this.#broken('a reference to a storage', Array.isArray(id) ? describeList(id) : describe(id));
    }
    const dtype = storageDtype(type.name);
    const storage = this.storages.get(key) ?? { key, type: type.name, dtype, count, offset: 0 };
    if (storage.type !== type.name || storage.count !== count) {
      const received = `${count} of ${type.name}`;
      throw this.#broken(`${storage.count} elements of ${storage.type} in storage ${quote(key)}`, received);
    }
    this.storages.set(key, storage);
    return Array.isArray(view) ? this.#view(storage, view) : storage;
  }

  /**
   * The attributes of a Namespace are its content. Those of tensors and dicts, such as the `_metadata` of a state dict, are
   * dropped.
   */
  setState(object: unknown, state: unknown): void {
    // With __slots__ it is a pair.
    const attributes: unknown = Array.isArray(state) && state.length === 2 ? (state as unknown[])[0] : state;
    if (object instanceof Opaque) {
      if (isDict(attributes)) object.attributes = attributes;
      return;
    }
    if (Array.isArray(object) || isRawTensor(object)) return;
    if (!isDict(object)) throw this.#broken('attributes of an object', describe(object));
    if (!this.#namespaces.has(object) || !isDict(attributes)) return;
    for (const name of Object.keys(attributes)) {
      this.#budget.take(attributeCost);
      object[name] = attributes[name];
    }
  }

  /**
   * Fills all tensors with their elements.
   *
   * @param data The bytes of a storage by its key.
   */
  *fill(data: (key: string) => Uint8Array | undefined): Steps<void> {
    const filled = new Map<string, NodeJS.TypedArray>();
    for (const storage of this.storages.values()) {
      if (storage.dtype !== undefined) filled.set(storage.key, this.#elements(storage, data(storage.key)));
      yield;
    }
    for (const pending of this.#pending) {
      const { key, offset, count } = pending.storage;
      const elements = filled.get(key) as NodeJS.TypedArray;
      const part = count === elements.length ? elements : elements.subarray(offset, offset + count);
      // A stride of 0 makes a large tensor from a few bytes.
      this.#budget.take(bytesOfCopy(pending));
      yield* fillTensor(pending, part);
      yield;
    }
  }

  #elements({ key, dtype, type, count }: Storage, bytes: Uint8Array | undefined): NodeJS.TypedArray {
    if (bytes === undefined || dtype === undefined) throw this.#broken(`the data of storage ${quote(key)}`, 'none');
    const size = bytesPerElement(dtype);
    if (bytes.length !== count * size) {
      const expected = `${count} elements of ${type}, ${count * size} bytes, in storage ${quote(key)}`;
      throw this.#broken(expected, `${bytes.length} bytes`);
    }
    return arrayOf(dtype, bytes);
  }

  /** Before PyTorch 0.4, a part of a storage was a storage itself: (key, offset, count). */
  #view(storage: Storage, [, offset, count]: readonly unknown[]): Storage {
    if (isCount(offset) && isCount(count) && offset + count <= storage.count) return { ...storage, offset, count };
    throw this.#broken(`a part of ${storage.count} elements`, describeList([offset, count]));
  }

  #tensor(args: readonly unknown[]): unknown {
    const pending = rebuildTensor(args);
    if (pending instanceof Opaque) return pending;
    this.#budget.take(tensorCost);
    this.#pending.push(pending);
    return pending.tensor;
  }

  /** (function, class, its arguments, attributes): a tensor of a subclass. */
  #rebuildFromType([callee, , args]: readonly unknown[]): unknown {
    const call = callee instanceof PickleGlobal ? callee.call : undefined;
    return call && Array.isArray(args) ? call(args) : new Opaque('torch._tensor._rebuild_from_type_v2');
  }

  #namespace(): unknown {
    const namespace = newDict();
    this.#namespaces.add(namespace);
    return namespace;
  }

  /** A dict from nothing, from a dict, or, as Python 2 writes it, from pairs. */
  #dict([content = []]: readonly unknown[]): unknown {
    const dict = newDict();
    const items = isDict(content) ? Object.entries(content) : content;
    if (!Array.isArray(items)) return new Opaque('a dict of something else');
    for (const item of items as unknown[]) {
      this.#budget.take(attributeCost);
      if (!Array.isArray(item) || item.length !== 2) throw this.#broken('pairs in a dict', describe(item));
      setItem(dict, item[0], item[1]);
    }
    return dict;
  }

  #broken(expected: string, received: string): QARepVGGError {
    return mismatch('ERR_MODEL_FORMAT', expected, received);
  }
}

/** A tensor, its arrays and its place in the list. */
const tensorCost = 500;

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
