import type { Session } from '../../binding';
import { QARepVGGError } from '../errors';
import type { DataType, GraphTensor } from '../graph/graph';
import type { InputDims } from '../graph/specialize';

/** A graph compiled for dims of its inputs. */
export interface Plan {
  readonly native: Session;
  /** Of the outputs; none for a network of this package, whose results are floats. */
  readonly types: readonly DataType[];
  /** Of one image; a run takes any number of them. */
  readonly independent: boolean;
  /** Convolutions, and products with weights, in integers and of all; of graphs. */
  readonly products?: { readonly integer: number; readonly all: number };
}

/** What a session has compiled, or compiles when dims come up. */
export interface Plans {
  /** @throws {QARepVGGError} ERR_DISPOSED */
  check(where: string): void;
  /**
   * The plan for these dims, and the number of images in them; `ready` if nothing has to be waited for.
   *
   * @param parameters Inputs that are constants of the plan.
   */
  get(dims: InputDims, parameters: ReadonlyMap<string, GraphTensor>, where: string): WantedPlan;
  /** As {@link get}, while the JavaScript thread waits. */
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
