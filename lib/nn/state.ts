import type { StateOffset } from '../../binding';
import { QARepVGGError } from '../errors';
import { allocateFloats, checkedProduct } from '../limits';
import type { Tensor } from '../tensor';

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

/** All tensors of a module in one flat array, and their gradients in another of the same layout. */
export class Store {
  readonly slots: readonly Slot[];
  readonly values: Float32Array;
  readonly gradients: Float32Array;
  readonly #byName: ReadonlyMap<string, Slot>;

  /** All zeros. @throws {QARepVGGError} ERR_LIMIT, ERR_OUT_OF_MEMORY */
  constructor(specs: readonly SlotSpec[], where: string) {
    let length = 0;
    this.slots = specs.map((spec) => {
      const slot = { ...spec, offset: length, size: checkedProduct(spec.dims, `${where}, ${spec.name}`) };
      length += slot.size;
      return slot;
    });
    this.values = allocateFloats(length, `${where}, state`);
    this.gradients = allocateFloats(length, `${where}, gradients`);
    this.#byName = new Map(this.slots.map((slot) => [slot.name, slot]));
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
    const trained = this.slots.filter((slot) => slot.kind === 'parameter');
    return Object.fromEntries(
      trained.map((slot) => [
        slot.name,
        { data: viewOf(this.values, slot), grad: viewOf(this.gradients, slot), dims: [...slot.dims] },
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
    if (this.values.length > 0 && this.gradients.length > 0) return;
    throw new QARepVGGError(
      'ERR_BUFFER_DETACHED',
      `${where}: expected the module's own memory, received a detached ArrayBuffer (a view of parameters() was transferred)`,
    );
  }
}

function viewOf(flat: Float32Array, { offset, size }: Slot): Float32Array {
  return flat.subarray(offset, offset + size);
}
