/** What {@link InferenceSession.stats} returns. */
export interface SessionStats {
  /** Runs that have succeeded since the session was made. */
  readonly runs: number;
  /** Images in these runs; for a graph that does not take batches, the number of runs. */
  readonly images: number;
  /** Pending runs: the one that computes, and those that wait. */
  readonly queue: number;
  /** Milliseconds that finished runs have computed. Runs that were computed together share the time. */
  readonly computeTime: number;
  /**
   * Threads that share the work now. It is lower than the session's `threads` while other programs want the processors; see
   * `info().teamSize`.
   */
  readonly teamSize: number;
}

/** Counts the runs of a session over all of its native sessions. */
export class RunCounter {
  runs = 0;
  images = 0;
  computeTime = 0;
  readonly #counted = new WeakMap<object, number>();

  /** Call this when a run has succeeded. */
  add(native: { computeTime(): number }, images: number): void {
    this.runs++;
    this.images += images;
    const time = native.computeTime();
    this.computeTime += time - (this.#counted.get(native) ?? 0);
    this.#counted.set(native, time);
  }
}
