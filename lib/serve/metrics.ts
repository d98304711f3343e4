import type { Registry } from 'prom-client';
import { labelNames, labelsOf, ModelMetrics, type Prometheus } from './model-metrics';
import type { ModelRegistry } from './models';
import type { StatisticsListener } from './statistics';
import { addTritonMetrics } from './triton-metrics';

/** Seconds: from a small network alone to the longest wait of a request. */
const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Metrics of a server and its models for Prometheus; event loop, memory and garbage collection are those of prom-client. */
export function createMetrics(prometheus: Prometheus, models: ModelRegistry, withTriton: boolean): Registry {
  const { Gauge, Histogram } = prometheus;
  const registry = new prometheus.Registry();
  const registers = [registry];
  prometheus.collectDefaultMetrics({ register: registry });
  // These are gauges with the names of counters.
  for (const kind of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${kind}_total`);

  const perModel = new ModelMetrics(prometheus, registry, models);
  perModel.counters(
    'qarepvgg_requests_total',
    'Inference requests by outcome: success, or why there was no result.',
    'outcome',
    ({ statistics }) => [['success', statistics.succeeded.count], ...statistics.failures],
  );
  perModel.counter('qarepvgg_images_total', 'Images computed.', ({ statistics }) => statistics.images);
  const histogram = (name: string, help: string, buckets: number[] = seconds) =>
    new Histogram({ name, help, buckets, labelNames, registers });
  const durations = histogram(
    'qarepvgg_request_duration_seconds',
    'From the first byte of a request that succeeds to its result.',
  );
  const waits = histogram('qarepvgg_queue_duration_seconds', 'How long requests waited for their turn.');
  const computes = histogram('qarepvgg_compute_duration_seconds', 'How long batches computed.');
  const sizes = histogram('qarepvgg_batch_images', 'Images that computed together.', [1, 2, 4, 8, 16, 32, 64, 128]);
  perModel.gauge('qarepvgg_queue_requests', 'Requests that wait.', ({ pending }) => pending);
  perModel.counter(
    'qarepvgg_engine_seconds_total',
    'How long the engine has computed for a model since it was loaded.',
    ({ engine }) => engine.stats().computeTime / 1000,
  );
  perModel.gauge(
    'qarepvgg_engine_threads',
    'Threads that share the work now; fewer than the model has where other programs want the processors.',
    ({ engine }) => engine.stats().teamSize,
  );
  new Gauge({
    name: 'qarepvgg_queue_bytes',
    help: 'Bytes of requests that are being read, wait or compute.',
    registers,
    collect() {
      this.set(models.memory.used);
    },
  });
  if (withTriton) addTritonMetrics(perModel);

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
