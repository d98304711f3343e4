import type { Session } from '../../binding';
import { QARepVGGError } from '../errors';
import type { DataType, GraphTensor } from '../graph/graph';
import type { InputDims } from '../graph/specialize';

/** A graph compiled for certain dims of its inputs. */
export interface Plan {
  readonly native: Session;
  /** Types of the outputs; empty for a network of this package, whose outputs are floats. */
  readonly types: readonly DataType[];
  /** Whether the plan is for one image, so that a run takes any number of them. */
  readonly independent: boolean;
  /** Of a graph: how many convolutions and matrix products with weights it has, and how many of them compute in integers. */
  readonly products?: { readonly integer: number; readonly all: number };
}

/** The plans of a session: compiled ones, and those that it compiles when a run brings new dims. */
export interface Plans {
  /** @throws {QARepVGGError} ERR_DISPOSED */
  check(where: string): void;
  /**
   * Returns the plan for these dims and the number of images in them; `ready` is the plan if it is compiled already.
   *
   * @param parameters Inputs that the plan has as constants.
   */
  get(dims: InputDims, parameters: ReadonlyMap<string, GraphTensor>, where: string): WantedPlan;
  /** Same as {@link get}, but the JavaScript thread waits. */
  getNow(dims: InputDims, parameters: ReadonlyMap<string, GraphTensor>, where: string): { plan: Plan; count: number };
  memoryBytes(where: string): number;
  dispose(): void;
}

export interface WantedPlan {
  readonly ready: Plan | undefined;
  readonly promise: Promise<Plan>;
  readonly count: number;
}

/** @throws {QARepVGGError} ERR_DISPOSED */
export function refuseDisposed(isDisposed: boolean, where: string): void {
  if (isDisposed) throw new QARepVGGError('ERR_DISPOSED', `${where}: session has been disposed`);
}
