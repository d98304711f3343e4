import type { Session } from '../../binding';
import type { InputDims } from '../graph/specialize';
import { Plan, type Plans, refuseDisposed, type WantedPlan } from './plans';

/** The one plan of a network whose nodes are the same for images of any size. The engine plans memory for each new size. */
export class SinglePlan implements Plans {
  readonly #plan: Plan;
  #disposed = false;

  constructor(native: Session) {
    this.#plan = new Plan(native, [], true);
  }

  check(): void {
    refuseDisposed(this.#disposed);
  }

  get(dims: InputDims, _: unknown): WantedPlan {
    const { plan, count } = this.getNow(dims, _);
    return { ready: plan, promise: Promise.resolve(plan), count };
  }

  getNow(dims: InputDims, _: unknown): { plan: Plan; count: number } {
    this.check();
    const [images = []] = dims.values();
    return { plan: this.#plan, count: images[0] as number };
  }

  memoryBytes(): number {
    this.check();
    return this.#plan.native.memoryBytes();
  }

  dispose(): void {
    this.#disposed = true;
    this.#plan.native.dispose();
  }
}
