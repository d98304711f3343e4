import { QARepVGGError } from '../errors';
import type { BatchReport } from './lane';

/** Why a request failed, as metrics name it. */
export type FailureReason = 'invalid' | 'rejected' | 'timeout' | 'canceled' | 'internal';

/** Called with what histograms need, as statistics only count and add, in seconds. */
export interface StatisticsListener {
  success(seconds: number): void;
  batch(rows: number, queued: readonly number[], computed: number): void;
}

interface Duration {
  count: number;
  /** Milliseconds. */
  total: number;
}

const duration = (): Duration => ({ count: 0, total: 0 });

function add(to: Duration, milliseconds: number): void {
  to.count++;
  to.total += milliseconds;
}

/** What has happened to one version of a model since it was first served; a reload continues the count. */
export class Statistics {
  readonly succeeded = duration();
  readonly failed = duration();
  readonly queue = duration();
  readonly infer = duration();
  readonly batches = new Map<number, Duration>();
  readonly failures = new Map<FailureReason, number>();
  images = 0;
  lastInference = 0;
  listener: StatisticsListener | undefined;

  success(milliseconds: number): void {
    add(this.succeeded, milliseconds);
    this.lastInference = Date.now();
    this.listener?.success(milliseconds / 1000);
  }

  failure(error: unknown, milliseconds: number): void {
    const reason = reasonOf(error);
    add(this.failed, milliseconds);
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1);
  }

  batch({ rows, queued, computed }: BatchReport): void {
    this.images += rows;
    for (const wait of queued) {
      add(this.queue, wait);
      add(this.infer, computed);
    }
    const size = this.batches.get(rows) ?? duration();
    add(size, computed);
    // Requests larger than maxBatch run alone and may have any size.
    if (this.batches.size < 1024) this.batches.set(rows, size);
    this.listener?.batch(
      rows,
      queued.map((wait) => wait / 1000),
      computed / 1000,
    );
  }
}

function reasonOf(error: unknown): FailureReason {
  if (!(error instanceof QARepVGGError)) return 'internal';
  switch (error.code) {
    case 'ERR_BUSY':
    case 'ERR_DISPOSED':
      return 'rejected';
    case 'ERR_TIMEOUT':
      return 'timeout';
    case 'ERR_ABORTED':
      return 'canceled';
    case 'ERR_INVALID_ARG':
    case 'ERR_SHAPE':
    case 'ERR_DTYPE':
    case 'ERR_BUFFER_SIZE':
    case 'ERR_SIZE_OVERFLOW':
    case 'ERR_LIMIT':
    case 'ERR_NOT_FOUND':
      return 'invalid';
    default:
      return 'internal';
  }
}
