import type { StateOffset } from '../../../binding';
import { failure, within } from '../../errors';
import { allocateFloats, checkedProduct } from '../../limits';
import type { Tensor } from '../../tensor';

/** Tensors by name. Keys are those of PyTorch's `state_dict()` in the chosen layout. */
export type StateDict = Record<string, Tensor>;

/** A trainable tensor of a module: live views of its value and of its accumulated gradient. */
export interface Parameter {
  readonly data: Float32Array;
  readonly grad: Float32Array;
  readonly dims: number[];
}

/** A tensor of a module. Buffers (batch norm statistics) are state that training updates without gradients. */
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
 * All tensors of a module in one flat array, and their gradients in another with the same offsets. Tensors are ordered by
 * name, as in a safetensors file, so that a file's data can be used in place.
 */
export class Store {
  /** In PyTorch's order, in which they were given. */
  readonly slots: readonly Slot[];
  readonly values: Float32Array;
  #gradients: Float32Array | undefined;
  readonly #byName: ReadonlyMap<string, Slot>;

  /**
   * @param values Memory that holds the tensors already; by default new memory, all zero.
   * @throws {QARepVGGError} ERR_LIMIT, ERR_OUT_OF_MEMORY
   */
  constructor(specs: readonly SlotSpec[], values?: Float32Array) {
    const { slots, length } = place(specs);
    this.#byName = new Map(slots.map((slot) => [slot.name, slot]));
    this.slots = specs.map(({ name }) => this.slot(name));
    this.values = values ?? within('state', () => allocateFloats(length));
  }

  /** Allocated when first used: most modules are not trained. @throws {QARepVGGError} ERR_OUT_OF_MEMORY */
  get gradients(): Float32Array {
    this.#gradients ??= within('gradients', () => allocateFloats(this.values.length));
    return this.#gradients;
  }

  slot(name: string): Slot {
    return this.#byName.get(name) as Slot;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Returns a live view of a tensor. */
  view(name: string): Float32Array {
    return viewOf(this.values, this.slot(name));
  }

  /** Returns live views of the trained tensors, by name. */
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

  /** Returns copies of all tensors, by name. */
  copy(): StateDict {
    return Object.fromEntries(
      this.slots.map((slot) => [slot.name, { data: viewOf(this.values, slot).slice(), dims: [...slot.dims] }]),
    );
  }

  /** The user may write to parameter views, and so may also transfer their memory away. */
  checkAttached(): void {
    if (this.values.length > 0 && this.#gradients?.length !== 0) return;
    throw failure(
      'ERR_BUFFER_DETACHED',
      "expected the module's own memory, received a detached ArrayBuffer (a view of parameters() was transferred)",
    );
  }
}

function place(specs: readonly SlotSpec[]): { slots: Slot[]; length: number } {
  let length = 0;
  const slots = [...specs]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((spec) => {
      const slot = { ...spec, offset: length, size: within(spec.name, () => checkedProduct(spec.dims)) };
      length += slot.size;
      return slot;
    });
  return { slots, length };
}

/** The memory that holds the given tensors, if it is laid out as a {@link Store} of them needs it. */
export function inPlace(specs: readonly SlotSpec[], tensors: Readonly<StateDict>) {
  const { slots, length } = place(specs);
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
