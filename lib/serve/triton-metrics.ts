import type { ModelMetrics } from './model-metrics';
import type { FailureReason, Statistics } from './statistics';

const reasons: Readonly<Record<FailureReason, string>> = {
  invalid: 'OTHER',
  rejected: 'REJECTED',
  timeout: 'REJECTED',
  canceled: 'CANCELED',
  internal: 'BACKEND',
};

const executions = ({ batches }: Statistics): number =>
  [...batches.values()].reduce((sum, { count }) => sum + count, 0);
const microseconds = (milliseconds: number): number => Math.round(milliseconds * 1000);

const counters: readonly [name: string, help: string, read: (statistics: Statistics) => number][] = [
  ['nv_inference_request_success', 'Inference requests that succeeded', ({ succeeded }) => succeeded.count],
  ['nv_inference_count', 'Images computed', ({ images }) => images],
  ['nv_inference_exec_count', 'Batches computed', executions],
  ['nv_inference_request_duration_us', 'Sum of request durations', (s) => microseconds(s.succeeded.total)],
  ['nv_inference_queue_duration_us', 'Sum of queue durations', (s) => microseconds(s.queue.total)],
  ['nv_inference_compute_infer_duration_us', 'Sum of compute durations', (s) => microseconds(s.infer.total)],
];

/** The same figures under the names that dashboards and tools for Triton read. */
export function addTritonMetrics(perModel: ModelMetrics): void {
  for (const [name, help, read] of counters) perModel.counter(name, help, ({ statistics }) => read(statistics));
  perModel.counters('nv_inference_request_failure', 'Inference requests that failed', 'reason', ({ statistics }) =>
    [...statistics.failures].map(([reason, count]) => [reasons[reason], count]),
  );
  perModel.gauge('nv_inference_pending_request_count', 'Inference requests that wait', ({ pending }) => pending);
}
