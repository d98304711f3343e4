import type { Counter, Gauge, Registry } from 'prom-client';
import type { ServedModel } from './model';
import type { ModelRegistry } from './models';

/** Loaded on first use: the rest of the package does not need it. */
export const loadMetrics = () => import('prom-client');
export type Prometheus = Awaited<ReturnType<typeof loadMetrics>>;

export const labelNames: readonly string[] = ['model', 'version'];

export function labelsOf({ name, version }: ServedModel): Record<string, string> {
  return { model: name, version };
}

/** Adds metrics that are read from the models of a server whenever they are collected. */
export class ModelMetrics {
  readonly #prometheus: Prometheus;
  readonly #registry: Registry;
  readonly #models: ModelRegistry;

  constructor(prometheus: Prometheus, registry: Registry, models: ModelRegistry) {
    this.#prometheus = prometheus;
    this.#registry = registry;
    this.#models = models;
  }

  counter(name: string, help: string, read: (model: ServedModel) => number): void {
    new this.#prometheus.Counter(this.#settings(name, help, [], (model) => [[{}, read(model)]]));
  }

  gauge(name: string, help: string, read: (model: ServedModel) => number): void {
    new this.#prometheus.Gauge(this.#settings(name, help, [], (model) => [[{}, read(model)]]));
  }

  /** A counter with one label more; `read` returns counts by its values. */
  counters(name: string, help: string, label: string, read: (model: ServedModel) => [string, number][]): void {
    const counts = (model: ServedModel) => read(model).map(([value, count]): Reading => [{ [label]: value }, count]);
    new this.#prometheus.Counter(this.#settings(name, help, [label], counts));
  }

  #settings(name: string, help: string, more: string[], read: (model: ServedModel) => Reading[]) {
    const models = this.#models;
    return {
      name,
      help,
      labelNames: [...labelNames, ...more],
      registers: [this.#registry],
      collect(this: Counter | Gauge) {
        this.reset();
        for (const model of models.list())
          for (const [labels, value] of read(model)) this.inc({ ...labelsOf(model), ...labels }, value);
      },
    };
  }
}

/** A value and the labels that it has besides those of its model. */
type Reading = [labels: Record<string, string>, value: number];
