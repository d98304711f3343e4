import type { Registry } from 'prom-client';
import type { Prometheus } from './metrics';
import type { ModelRegistry } from './models';
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
export function addTritonMetrics({ Counter, Gauge }: Prometheus, registry: Registry, models: ModelRegistry): void {
  const registers = [registry];
  const labelNames = ['model', 'version'];
  for (const [name, help, read] of counters) {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const model of models.list())
          this.inc({ model: model.name, version: model.version }, read(model.statistics));
      },
    });
  }
  new Counter({
    name: 'nv_inference_request_failure',
    help: 'Inference requests that failed',
    labelNames: [...labelNames, 'reason'],
    registers,
    collect() {
      this.reset();
      for (const { name, version, statistics } of models.list()) {
        for (const [reason, count] of statistics.failures)
          this.inc({ model: name, version, reason: reasons[reason] }, count);
      }
    },
  });
  new Gauge({
    name: 'nv_inference_pending_request_count',
    help: 'Inference requests that wait',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { name, version, pending } of models.list()) this.set({ model: name, version }, pending);
    },
  });
}
