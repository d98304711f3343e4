/** What {@link InferenceSession.stats} returns. */
export interface SessionStats {
  /** Runs that have been answered since the session was made; those that failed or were aborted do not count. */
  readonly runs: number;
  /** Images in them; of a graph that is not made for batches, as many as runs. */
  readonly images: number;
  /** Runs that have not been answered yet: the one that computes, and those that wait. */
  readonly queue: number;
  /** Milliseconds that runs which are not in the queue any more have computed. Runs that were computed together share the time. */
  readonly computeTime: number;
  /**
   * Threads that share the work now, of at most as many as the session may use. Fewer than these where other programs want the
   * processors; see `info().teamSize`.
   */
  readonly teamSize: number;
}

/** Counts the runs of a session, on however many native sessions they are computed. */
export class RunCounter {
  runs = 0;
  images = 0;
  computeTime = 0;
  readonly #counted = new WeakMap<object, number>();

  /** To be called when a run has been answered. */
  add(native: { computeTime(): number }, images: number): void {
    this.runs++;
    this.images += images;
    const time = native.computeTime();
    this.computeTime += time - (this.#counted.get(native) ?? 0);
    this.#counted.set(native, time);
  }
}
