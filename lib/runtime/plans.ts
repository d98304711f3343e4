import type { Session } from '../../binding';
import { failure } from '../errors';
import type { DataType, GraphTensor } from '../graph/graph';
import type { Products } from '../graph/passes';
import type { InputDims } from '../graph/specialize';

/** Dims of the inputs or outputs, in the graph's order. */
export type DimsList = readonly (readonly number[])[];

/** A graph compiled for certain dims of its inputs. */
export class Plan {
  #last: { readonly inputs: DimsList; readonly outputs: DimsList } | undefined;

  /**
   * @param types Types of the outputs; empty for a network of this package, whose outputs are floats.
   * @param independent Whether the plan is for one image, so that a run takes any number of them.
   * @param products Of a graph.
   */
  constructor(
    readonly native: Session,
    readonly types: readonly DataType[],
    readonly independent: boolean,
    readonly products?: Products,
  ) {}

  /**
   * Dims of the outputs for inputs of these dims. The answer is kept, because most runs have the dims of the run before.
   *
   * @throws {QARepVGGError} ERR_SHAPE
   */
  outputDims(inputs: DimsList): DimsList {
    if (!this.#last || !areEqual(this.#last.inputs, inputs)) {
      this.#last = { inputs, outputs: this.native.outputDims(inputs) };
    }
    return this.#last.outputs;
  }
}

function areEqual(a: DimsList, b: DimsList): boolean {
  return a.every((list, i) => list.length === b[i]?.length && list.every((dim, axis) => dim === b[i]?.[axis]));
}

/** The plans of a session: compiled ones, and those that it compiles when a run brings new dims. */
export interface Plans {
  /** @throws {QARepVGGError} ERR_DISPOSED */
  check(): void;
  /**
   * Returns the plan for these dims and the number of images in them; `ready` is the plan if it is compiled already.
   *
   * @param parameters Inputs that the plan has as constants.
   */
  get(dims: InputDims, parameters: ReadonlyMap<string, GraphTensor>): WantedPlan;
  /** Same as {@link get}, but the JavaScript thread waits. */
  getNow(dims: InputDims, parameters: ReadonlyMap<string, GraphTensor>): { plan: Plan; count: number };
  memoryBytes(): number;
  dispose(): void;
}

export interface WantedPlan {
  readonly ready: Plan | undefined;
  readonly promise: Promise<Plan>;
  readonly count: number;
}

/** @throws {QARepVGGError} ERR_DISPOSED */
export function refuseDisposed(isDisposed: boolean): void {
  if (isDisposed) throw failure('ERR_DISPOSED', 'session has been disposed');
}
