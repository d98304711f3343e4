import { Lane, type LaneOptions } from './lane';

/** The engine computes one batch at a time; the second is ready when it is done with the first. */
const slots = 2;

/** Lanes compete while each had a request within this many milliseconds. */
const recent = 1000;

/** Milliseconds that a batch may take while lanes compete, as a batch cannot be interrupted; one request may take longer. */
const turn = 20;

/** What is the same for lanes of all kinds of requests. */
type AnyLane = Pick<Lane<unknown, unknown>, 'length' | 'running' | 'used' | 'lastArrival' | 'readyAt' | 'compute'>;

/**
 * Decides what computes next. Within a lane requests run in the order of their arrival, as many together as `maxBatch`
 * allows; between lanes the one that has used the least time is next, and batches are short, so that a slow model cannot
 * starve a fast one.
 */
export class Scheduler {
  readonly #lanes = new Set<AnyLane>();
  #running = 0;
  #lastFinish = 0;
  /** Time used by the lane that was served last: an idle lane cannot save up more than this. */
  #clock = 0;
  #timer: NodeJS.Timeout | undefined;

  lane<I, O>(options: LaneOptions<I, O>): Lane<I, O> {
    const lane = new Lane(options, { pump: () => this.#pump(), clock: () => this.#clock });
    this.#lanes.add(lane);
    void lane.closed.then(() => this.#lanes.delete(lane));
    return lane;
  }

  /** Starts every batch that may start now, and sets a timer for the next. */
  #pump(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    let wake = Number.POSITIVE_INFINITY;
    while (this.#running < slots) {
      let next: AnyLane | undefined;
      for (const lane of this.#lanes) {
        if (lane.length === 0 || (lane.running > 0 && this.#isAhead(lane, now))) continue;
        const readyAt = lane.readyAt(now);
        if (readyAt > now) wake = Math.min(wake, readyAt);
        else if (!next || lane.used < next.used) next = lane;
      }
      if (!next) break;
      this.#clock = next.used;
      void this.#start(next, now);
    }
    // Timers fire up to a millisecond early.
    if (wake < Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => this.#pump(), Math.ceil(wake - now));
  }

  /** Whether a competing lane has used less time: it must not find both slots taken. */
  #isAhead(lane: AnyLane, now: number): boolean {
    for (const other of this.#lanes) {
      if (other !== lane && other.used < lane.used && now - other.lastArrival < recent) return true;
    }
    return false;
  }

  /** Whether another lane had a request recently. */
  #hasRival(lane: AnyLane, now: number): boolean {
    for (const other of this.#lanes) if (other !== lane && now - other.lastArrival < recent) return true;
    return false;
  }

  async #start(lane: AnyLane, started: number): Promise<void> {
    this.#running++;
    const limit = this.#hasRival(lane, started) ? turn : Number.POSITIVE_INFINITY;
    await lane.compute(started, limit, () => {
      const now = performance.now();
      const computed = now - Math.max(started, this.#lastFinish);
      this.#lastFinish = now;
      return computed;
    });
    this.#running--;
    this.#pump();
  }
}
