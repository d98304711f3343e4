import { describe, describeList, mismatch, type QARepVGGError, quote } from '../../errors';
import { arrayOf, bytesPerElement, type Dtype } from '../dtypes';
import { isDict, newDict, PickleGlobal, type PickleHost } from './pickle';
import { rebuildTensor, type Storage } from './tensors';

/** Classes that stand for the element type of a storage; PyTorch's newer versions write the same names. */
const storageDtypes: Readonly<Record<string, Dtype>> = {
  'torch.FloatStorage': 'F32',
  'torch.DoubleStorage': 'F64',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
};

/**
 * What a pickle of PyTorch's may name: tensors, their storages, and the few plain containers that training scripts put
 * into checkpoints (OrderedDict; `argparse.Namespace`, the command line; Counter, in the state of MultiStepLR).
 */
export class TorchHost implements PickleHost {
  readonly #where: string;
  readonly #data: (key: string) => Uint8Array | undefined;
  readonly #storages = new Map<string, Storage>();
  readonly #namespaces = new Set<unknown>();
  readonly #globals: ReadonlyMap<string, PickleGlobal>;
  #copiesLeft: number;
  #attributesLeft: number;

  /**
   * @param data The bytes of a storage by its key.
   * @param fileBytes Size of the whole file, which bounds the memory that reading it may take.
   */
  constructor(data: (key: string) => Uint8Array | undefined, fileBytes: number, where: string) {
    this.#where = where;
    this.#data = data;
    this.#copiesLeft = 4 * fileBytes + 2 ** 26;
    this.#attributesLeft = fileBytes;
    const globals: PickleGlobal[] = [
      new PickleGlobal('collections.OrderedDict', (args) => this.#emptyDict(args)),
      new PickleGlobal('collections.Counter', (args) => this.#counter(args)),
      new PickleGlobal('argparse.Namespace', (args) => {
        const namespace = this.#emptyDict(args);
        this.#namespaces.add(namespace);
        return namespace;
      }),
      new PickleGlobal('torch._utils._rebuild_tensor_v2', (args) => this.#tensor(args)),
      new PickleGlobal('torch._utils._rebuild_parameter', ([tensor]) => tensor),
      ...Object.keys(storageDtypes).map((name) => new PickleGlobal(name)),
    ];
    this.#globals = new Map(globals.map((global) => [global.name, global]));
  }

  global(name: string): PickleGlobal | undefined {
    return this.#globals.get(name);
  }

  /** ('storage', class, key, device, count of elements) */
  persistent(id: unknown): Storage {
    const [kind, type, key, , count] = Array.isArray(id) ? id : [];
    const dtype = type instanceof PickleGlobal ? storageDtypes[type.name] : undefined;
    if (kind !== 'storage' || dtype === undefined || typeof key !== 'string') {
      throw this.#broken('a reference to a storage', Array.isArray(id) ? describeList(id) : describe(id));
    }
    const known = this.#storages.get(key);
    const storage = known ?? { dtype, elements: arrayOf(dtype, this.#bytes(key, dtype)) };
    if (storage.dtype !== dtype || storage.elements.length !== count) {
      const received = `${describe(count)} of ${dtype}`;
      throw this.#broken(`${storage.elements.length} elements of ${storage.dtype} in storage ${quote(key)}`, received);
    }
    this.#storages.set(key, storage);
    return storage;
  }

  /** Attributes of a Namespace are its content; those of an OrderedDict, the `_metadata` of a state dict, are dropped. */
  setState(object: unknown, state: unknown): void {
    if (!isDict(object) || !isDict(state)) throw this.#broken('attributes of a dict', describe(object));
    if (!this.#namespaces.has(object)) return;
    for (const [name, value] of Object.entries(state)) {
      // Each attribute took bytes of the file once; a pickle that sets more than that multiplies one dict.
      if (this.#attributesLeft-- === 0) throw mismatch('ERR_LIMIT', this.#where, 'attributes set once', 'more');
      object[name] = value;
    }
  }

  #bytes(key: string, dtype: Dtype): Uint8Array {
    const bytes = this.#data(key);
    if (bytes === undefined) throw this.#broken(`the data of storage ${quote(key)}`, 'none');
    if (bytes.length % bytesPerElement(dtype) !== 0) {
      throw this.#broken(`a multiple of ${bytesPerElement(dtype)} bytes in storage ${quote(key)}`, `${bytes.length}`);
    }
    return bytes;
  }

  #tensor(args: readonly unknown[]): unknown {
    const { tensor, copied } = rebuildTensor(args, this.#copiesLeft, this.#where);
    this.#copiesLeft -= copied;
    return tensor;
  }

  #emptyDict(args: readonly unknown[]) {
    if (args.length > 0) throw this.#broken('a dict that is filled after it is made', describeList(args));
    return newDict();
  }

  #counter([counts = newDict(), ...rest]: readonly unknown[]): unknown {
    if (!isDict(counts) || rest.length > 0) throw this.#broken('a dict of counts', describe(counts));
    return counts;
  }

  #broken(expected: string, received: string): QARepVGGError {
    return mismatch('ERR_MODEL_FORMAT', this.#where, expected, received);
  }
}
