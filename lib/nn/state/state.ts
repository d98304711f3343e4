import type { StateOffset } from '../../../binding';
import { QARepVGGError } from '../../errors';
import { allocateFloats, checkedProduct } from '../../limits';
import type { Tensor } from '../../tensor';

/** Tensors by name. Keys are those of PyTorch's `state_dict()` for the layout in question. */
export type StateDict = Record<string, Tensor>;

/** A trainable tensor of a module: live views of its value and of its accumulated gradient. */
export interface Parameter {
  readonly data: Float32Array;
  readonly grad: Float32Array;
  readonly dims: number[];
}

/** A tensor that a module has. Buffers are state that training updates without gradients (batch norm statistics). */
export interface SlotSpec {
  readonly name: string;
  readonly dims: readonly number[];
  readonly kind: 'parameter' | 'buffer';
}

/** A tensor and its place in the store. */
export interface Slot extends SlotSpec {
  readonly offset: StateOffset;
  readonly size: number;
}

/**
 * All tensors of a module in one flat array, and their gradients in another of the same layout. Tensors lie in the order
 * of their names: as in a safetensors file, whose data can then be used where they are.
 */
export class Store {
  /** In the order in which they were given, that of PyTorch. */
  readonly slots: readonly Slot[];
  readonly values: Float32Array;
  #gradients: Float32Array | undefined;
  readonly #where: string;
  readonly #byName: ReadonlyMap<string, Slot>;

  /**
   * @param values Memory to use, which has the tensors in it; by default new memory, all zero.
   * @throws {QARepVGGError} ERR_LIMIT, ERR_OUT_OF_MEMORY
   */
  constructor(specs: readonly SlotSpec[], where: string, values?: Float32Array) {
    const { slots, length } = place(specs, where);
    this.#byName = new Map(slots.map((slot) => [slot.name, slot]));
    this.slots = specs.map(({ name }) => this.slot(name));
    this.values = values ?? allocateFloats(length, `${where}, state`);
    this.#where = where;
  }

  /** Made when they are first asked for: most modules are not trained. @throws {QARepVGGError} ERR_OUT_OF_MEMORY */
  get gradients(): Float32Array {
    this.#gradients ??= allocateFloats(this.values.length, `${this.#where}, gradients`);
    return this.#gradients;
  }

  slot(name: string): Slot {
    return this.#byName.get(name) as Slot;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** A live view. */
  view(name: string): Float32Array {
    return viewOf(this.values, this.slot(name));
  }

  /** Live views of what is trained, by name. */
  parameters(): Record<string, Parameter> {
    const { values, gradients } = this;
    const trained = this.slots.filter((slot) => slot.kind === 'parameter');
    return Object.fromEntries(
      trained.map((slot) => [
        slot.name,
        { data: viewOf(values, slot), grad: viewOf(gradients, slot), dims: [...slot.dims] },
      ]),
    );
  }

  /** Copies of all tensors, by name. */
  copy(): StateDict {
    return Object.fromEntries(
      this.slots.map((slot) => [slot.name, { data: viewOf(this.values, slot).slice(), dims: [...slot.dims] }]),
    );
  }

  /** Parameter views are the user's to write, and so also to transfer away, memory and all. */
  checkAttached(where: string): void {
    if (this.values.length > 0 && this.#gradients?.length !== 0) return;
    throw new QARepVGGError(
      'ERR_BUFFER_DETACHED',
      `${where}: expected the module's own memory, received a detached ArrayBuffer (a view of parameters() was transferred)`,
    );
  }
}

function place(specs: readonly SlotSpec[], where: string): { slots: Slot[]; length: number } {
  let length = 0;
  const slots = [...specs]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((spec) => {
      const slot = { ...spec, offset: length, size: checkedProduct(spec.dims, `${where}, ${spec.name}`) };
      length += slot.size;
      return slot;
    });
  return { slots, length };
}

/** The memory that the given tensors lie in, if it is as a {@link Store} of them needs it. */
export function inPlace(specs: readonly SlotSpec[], tensors: Readonly<StateDict>, where: string) {
  const { slots, length } = place(specs, where);
  const buffer = tensors[slots[0]?.name ?? '']?.data.buffer;
  const fits = slots.every(({ name, offset }) => {
    const data = tensors[name]?.data;
    return data?.buffer === buffer && data?.byteOffset === offset * Float32Array.BYTES_PER_ELEMENT;
  });
  if (!buffer || !fits || buffer.byteLength !== length * Float32Array.BYTES_PER_ELEMENT) return undefined;
  return new Float32Array(buffer);
}

function viewOf(flat: Float32Array, { offset, size }: Slot): Float32Array {
  return flat.subarray(offset, offset + size);
}
