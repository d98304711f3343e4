import type { Registry } from 'prom-client';
import type { ServedModel } from './model';
import type { ModelRegistry } from './models';
import type { StatisticsListener } from './statistics';
import { addTritonMetrics } from './triton-metrics';

/** Loaded on first use: the rest of the package does not need it. */
export const loadMetrics = () => import('prom-client');
export type Prometheus = Awaited<ReturnType<typeof loadMetrics>>;

/** Seconds: from a small network alone to the longest wait of a request. */
const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const labelNames = ['model', 'version'] as const;

/** Metrics of a server and its models for Prometheus; event loop, memory and garbage collection are those of prom-client. */
export function createMetrics(prometheus: Prometheus, models: ModelRegistry, withTriton: boolean): Registry {
  const { Counter, Gauge, Histogram } = prometheus;
  const registry = new prometheus.Registry();
  const registers = [registry];
  prometheus.collectDefaultMetrics({ register: registry });
  // These are gauges with the names of counters.
  for (const kind of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${kind}_total`);

  new Counter({
    name: 'qarepvgg_requests_total',
    help: 'Inference requests by outcome: success, or why there was no result.',
    labelNames: [...labelNames, 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const model of models.list()) {
        const { succeeded, failures } = model.statistics;
        this.inc({ ...labelsOf(model), outcome: 'success' }, succeeded.count);
        for (const [outcome, count] of failures) this.inc({ ...labelsOf(model), outcome }, count);
      }
    },
  });
  new Counter({
    name: 'qarepvgg_images_total',
    help: 'Images computed.',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const model of models.list()) this.inc(labelsOf(model), model.statistics.images);
    },
  });
  const histogram = (name: string, help: string, buckets: number[] = seconds) =>
    new Histogram({ name, help, buckets, labelNames, registers });
  const durations = histogram(
    'qarepvgg_request_duration_seconds',
    'From the first byte of a request that succeeds to its result.',
  );
  const waits = histogram('qarepvgg_queue_duration_seconds', 'How long requests waited for their turn.');
  const computes = histogram('qarepvgg_compute_duration_seconds', 'How long batches computed.');
  const sizes = histogram('qarepvgg_batch_images', 'Images that computed together.', [1, 2, 4, 8, 16, 32, 64, 128]);
  new Gauge({
    name: 'qarepvgg_queue_requests',
    help: 'Requests that wait.',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const model of models.list()) this.set(labelsOf(model), model.pending);
    },
  });
  new Counter({
    name: 'qarepvgg_engine_seconds_total',
    help: 'How long the engine has computed for a model since it was loaded.',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const model of models.list()) this.inc(labelsOf(model), model.engine.stats().computeTime / 1000);
    },
  });
  new Gauge({
    name: 'qarepvgg_engine_threads',
    help: 'Threads that share the work now; fewer than the model has where other programs want the processors.',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const model of models.list()) this.set(labelsOf(model), model.engine.stats().teamSize);
    },
  });
  new Gauge({
    name: 'qarepvgg_queue_bytes',
    help: 'Bytes of requests that are being read, wait or compute.',
    registers,
    collect() {
      this.set(models.memory.used);
    },
  });
  if (withTriton) addTritonMetrics(prometheus, registry, models);

  models.onServe = (model) => {
    const labels = labelsOf(model);
    const [duration, wait] = [durations.labels(labels), waits.labels(labels)];
    const [compute, size] = [computes.labels(labels), sizes.labels(labels)];
    const listener: StatisticsListener = {
      success: (time) => duration.observe(time),
      batch(rows, queued, computed) {
        size.observe(rows);
        compute.observe(computed);
        for (const time of queued) wait.observe(time);
      },
    };
    model.statistics.listener = listener;
  };
  return registry;
}

function labelsOf({ name, version }: ServedModel) {
  return { model: name, version };
}
