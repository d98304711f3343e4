import { mismatch, QARepVGGError } from '../errors';
import type { Cancellation } from './cancellation';

/** What a lane needs to know of a request. Times by `performance.now()`. */
export interface JobOptions {
  /** Images, which is what a batch is counted in. */
  readonly rows: number;
  /** Only requests with the same key compute together. */
  readonly key: string;
  readonly deadline: number;
  readonly cancellation?: Cancellation | undefined;
}

/** The times of a batch in milliseconds, for statistics. */
export interface BatchReport {
  readonly rows: number;
  /** How long each of its requests waited. */
  readonly queued: readonly number[];
  /** Counted from when the engine could begin. */
  readonly computed: number;
}

/** A queue of requests that may compute together. */
export interface LaneOptions<I, O> {
  readonly maxBatch: number;
  readonly queueDelay: number;
  readonly maxQueue: number;
  /** Computes requests together and resolves to their results, in their order. */
  run(inputs: readonly I[], signal: AbortSignal): Promise<readonly O[]>;
  onBatch?(report: BatchReport): void;
}

/** A request in a lane. */
class Job<I, O> {
  readonly input: I;
  readonly rows: number;
  readonly key: string;
  readonly deadline: number;
  readonly enqueued: number;
  /** The batch that it computes in, once it does. */
  batch: { readonly abort: AbortController; live: number } | undefined;
  isSettled = false;
  readonly #cancellation: Cancellation | undefined;
  readonly #resolve: (value: O) => void;
  readonly #reject: (error: Error) => void;

  constructor(
    input: I,
    { rows, key, deadline, cancellation }: JobOptions,
    enqueued: number,
    resolve: (value: O) => void,
    reject: (error: Error) => void,
  ) {
    this.input = input;
    this.rows = rows;
    this.key = key;
    this.deadline = deadline;
    this.enqueued = enqueued;
    this.#cancellation = cancellation;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  resolve(value: O): void {
    if (this.#settle()) this.#resolve(value);
  }

  reject(error: Error): void {
    if (this.#settle()) this.#reject(error);
  }

  #settle(): boolean {
    if (this.isSettled) return false;
    this.isSettled = true;
    if (this.#cancellation) this.#cancellation.onCancel = undefined;
    return true;
  }
}

/** The queue of one model; made by {@link Scheduler.lane}. */
export class Lane<I, O> {
  lastArrival = Number.NEGATIVE_INFINITY;
  /** Batches that are computing. */
  running = 0;
  /** Milliseconds of the engine's time; those of running batches are estimates. */
  used = 0;
  readonly closed: Promise<void>;
  #resolveClosed = (): void => undefined;
  #isClosing = false;
  #queue: Job<I, O>[] = [];
  /** Requests without an answer. */
  readonly #live = new Set<Job<I, O>>();
  /** One timer for all of them, set to the first deadline. */
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  /** Milliseconds per row, a moving average. */
  #perRow = 0;
  /** That of an earlier batch, for the next one: a new signal is slow to get. */
  #abort: AbortController | undefined;
  readonly #options: LaneOptions<I, O>;
  readonly #scheduler: { pump(): void; clock(): number };

  constructor(options: LaneOptions<I, O>, scheduler: { pump(): void; clock(): number }) {
    this.#options = options;
    this.#scheduler = scheduler;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /** Requests that wait. */
  get length(): number {
    return this.#queue.length;
  }

  get isFull(): boolean {
    return this.#queue.length >= this.#options.maxQueue;
  }

  /**
   * Resolves to the result of a request.
   *
   * @throws {QARepVGGError} (rejects) ERR_BUSY when the queue is full; ERR_TIMEOUT, ERR_ABORTED; ERR_DISPOSED after `close`;
   * what `run` rejects with when it computes this request alone.
   */
  submit(input: I, options: JobOptions): Promise<O> {
    const now = performance.now();
    if (this.#isClosing) return Promise.reject(new QARepVGGError('ERR_DISPOSED', 'the model has been unloaded'));
    if (options.cancellation?.isCancelled) return Promise.reject(cancelled());
    if (options.deadline <= now) return Promise.reject(late());
    if (this.isFull) return Promise.reject(this.#full());
    this.lastArrival = now;
    if (this.length === 0 && this.running === 0) this.used = Math.max(this.used, this.#scheduler.clock());
    return new Promise((resolve, reject) => {
      const job = new Job(input, options, now, resolve, reject);
      if (options.cancellation) options.cancellation.onCancel = () => this.#drop(job, cancelled());
      this.#live.add(job);
      this.#watch(options.deadline, now);
      this.#queue.push(job);
      this.#scheduler.pump();
    });
  }

  /** Refuses new requests; resolves when the pending ones are done. */
  close(): Promise<void> {
    this.#isClosing = true;
    this.#closeIfEmpty();
    return this.closed;
  }

  /** When the next batch may start: at once unless there is room for others, and time to wait for them. */
  readyAt(now: number): number {
    const { queueDelay, maxBatch } = this.#options;
    const [oldest] = this.#queue;
    if (!oldest || queueDelay === 0 || this.#isClosing) return now;
    const mates = this.#queue.filter(({ key }) => key === oldest.key);
    const rows = mates.reduce((sum, job) => sum + job.rows, 0);
    if (rows >= maxBatch) return now;
    const deadline = Math.min(...mates.map((job) => job.deadline));
    // Half of the time is for computing, or twice as much as that takes.
    const lastMoment = Math.min((oldest.enqueued + deadline) / 2, deadline - 2 * this.#perRow * rows);
    return Math.min(oldest.enqueued + queueDelay, lastMoment);
  }

  /**
   * Computes the next batch: requests that together take up to `limit` milliseconds. `measure` returns how long the engine
   * had it. Never rejects.
   */
  async compute(started: number, limit: number, measure: () => number): Promise<void> {
    const jobs = this.#take(this.#rowsWithin(limit));
    const rows = jobs.reduce((sum, job) => sum + job.rows, 0);
    const batch = { abort: this.#abort ?? new AbortController(), live: jobs.length };
    this.#abort = undefined;
    for (const job of jobs) job.batch = batch;
    const estimate = this.#perRow * rows;
    this.used += estimate;
    this.running++;
    await this.#run(jobs, batch.abort.signal);
    if (!batch.abort.signal.aborted) this.#abort = batch.abort;
    this.running--;
    const computed = measure();
    this.used += computed - estimate;
    this.#perRow += (computed / rows - this.#perRow) * (this.#perRow === 0 ? 1 : 0.2);
    this.#options.onBatch?.({ rows, queued: jobs.map(({ enqueued }) => started - enqueued), computed });
    this.#closeIfEmpty();
  }

  async #run(jobs: readonly Job<I, O>[], signal: AbortSignal): Promise<void> {
    try {
      const results = await this.#options.run(
        jobs.map(({ input }) => input),
        signal,
      );
      jobs.forEach((job, i) => {
        this.#live.delete(job);
        job.resolve(results[i] as O);
      });
    } catch (error) {
      if (jobs.length === 1 || signal.aborted) {
        for (const job of jobs) {
          this.#live.delete(job);
          job.reject(error as Error);
        }
        return;
      }
      // Run one by one, only the request at fault fails.
      for (const job of jobs) if (!job.isSettled) await this.#run([job], signal);
    }
  }

  #rowsWithin(limit: number): number {
    const { maxBatch } = this.#options;
    if (limit === Number.POSITIVE_INFINITY) return maxBatch;
    // How long the first batch takes is unknown.
    return this.#perRow === 0 ? 1 : Math.min(maxBatch, Math.floor(limit / this.#perRow));
  }

  /** The oldest request, and those behind it that fit its batch. */
  #take(maxRows: number): Job<I, O>[] {
    const [oldest] = this.#queue as [Job<I, O>];
    const taken: Job<I, O>[] = [];
    const left: Job<I, O>[] = [];
    let rows = 0;
    let isFull = false;
    for (const job of this.#queue) {
      const isMate = job.key === oldest.key && !isFull;
      if (isMate && taken.length > 0 && rows + job.rows > maxRows) isFull = true;
      if (isMate && !isFull) {
        rows += job.rows;
        taken.push(job);
      } else left.push(job);
    }
    this.#queue = left;
    return taken;
  }

  /** Nobody waits for this one any more. */
  #drop(job: Job<I, O>, reason: Error): void {
    if (job.isSettled) return;
    this.#live.delete(job);
    job.reject(reason);
    if (job.batch) {
      if (--job.batch.live === 0) job.batch.abort.abort();
      return;
    }
    this.#queue.splice(this.#queue.indexOf(job), 1);
    this.#closeIfEmpty();
  }

  /** Makes the timer fire by then. */
  #watch(deadline: number, now: number): void {
    if (deadline >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = deadline;
    // The caller that waits for the answer keeps the process alive.
    this.#timer = setTimeout(() => this.#expire(), Math.ceil(deadline - now)).unref();
  }

  #expire(): void {
    // Timers fire up to a millisecond early.
    const now = performance.now() + 1;
    this.#timerAt = Number.POSITIVE_INFINITY;
    let first = Number.POSITIVE_INFINITY;
    for (const job of this.#live) {
      if (job.deadline <= now) this.#drop(job, late());
      else first = Math.min(first, job.deadline);
    }
    if (first < Number.POSITIVE_INFINITY) this.#watch(first, now - 1);
  }

  #closeIfEmpty(): void {
    if (!this.#isClosing || this.#queue.length > 0 || this.running > 0) return;
    clearTimeout(this.#timer);
    this.#resolveClosed();
  }

  #full(): QARepVGGError {
    return mismatch('ERR_BUSY', 'queue', `fewer than ${this.#options.maxQueue} waiting requests`, `${this.length}`);
  }
}

function late(): QARepVGGError {
  return new QARepVGGError('ERR_TIMEOUT', 'no result before the deadline');
}

function cancelled(): QARepVGGError {
  return new QARepVGGError('ERR_ABORTED', 'request aborted');
}
