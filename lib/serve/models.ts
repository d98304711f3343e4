import { didYouMean } from '../did-you-mean';
import { mismatch, QARepVGGError, quote } from '../errors';
import { allocate, bytesOf, countElements } from './datatypes';
import { type Engine, openEngine } from './engine';
import { RequestMemory } from './memory';
import { type ModelSettings, ServedModel } from './model';
import { listRepository } from './repository';
import { Scheduler } from './scheduler';
import type { ModelSource, Models, ReloadResult } from './types';

/** A version of a model that can be loaded. */
export interface Definition {
  readonly name: string;
  readonly version: string;
  readonly source: ModelSource;
  readonly settings: ModelSettings;
}

export interface RegistryOptions {
  readonly definitions: readonly Definition[];
  readonly repository: string | undefined;
  /** Of models in the repository. */
  readonly settings: ModelSettings;
  readonly threads: number;
  readonly maxQueueBytes: number;
}

/** An entry of the repository extension's index. */
export interface IndexEntry {
  readonly name: string;
  readonly version: string;
  readonly state: 'READY' | 'UNAVAILABLE';
  readonly reason: string;
}

/** The models of a server, by name and version. Changes run one after another; requests continue meanwhile. */
export class ModelRegistry implements Models {
  readonly scheduler = new Scheduler();
  readonly memory: RequestMemory;
  readonly #options: RegistryOptions;
  readonly #models = new Map<string, Map<string, ServedModel>>();
  readonly #closings = new Set<Promise<void>>();
  #isLoaded = false;
  #isClosing = false;
  #changes: Promise<unknown> = Promise.resolve();
  /** Called with each model that begins to serve. */
  onServe: ((model: ServedModel) => void) | undefined;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.memory = new RequestMemory(options.maxQueueBytes);
  }

  get isReady(): boolean {
    return this.#isLoaded && !this.#isClosing;
  }

  /** Readiness ends; serving continues. */
  beginClosing(): void {
    this.#isClosing = true;
  }

  list(): readonly ServedModel[] {
    return [...this.#models.values()].flatMap((versions) => [...versions.values()]);
  }

  names(): string[] {
    return [...this.#models.keys()];
  }

  get(name: string, version = ''): ServedModel {
    const versions = this.#models.get(name);
    if (!versions) throw unknownModel(name, this.names());
    const model = versions.get(version === '' ? highest([...versions.keys()]) : version);
    if (model) return model;
    throw new QARepVGGError('ERR_NOT_FOUND', `model ${quote(name)} has no version ${quote(version)}`);
  }

  /** Loads all models. @throws {QARepVGGError} (rejects) naming the first that cannot be served. */
  async start(): Promise<void> {
    const definitions = await this.#definitions();
    if (definitions.length === 0) throw mismatch('ERR_INVALID_ARG', 'serve', 'at least one model', 'none');
    for (const definition of definitions) this.#place(definition, await this.#open(definition));
    this.#isLoaded = true;
  }

  /** Loads or reloads a model: all its versions, or none. @throws {QARepVGGError} ERR_NOT_FOUND; as its files */
  load(name: string): Promise<void> {
    return this.#change(async () => {
      const definitions = (await this.#definitions()).filter((definition) => definition.name === name);
      if (definitions.length === 0) throw unknownModel(name, this.names());
      const opened: { definition: Definition; engine: Engine }[] = [];
      try {
        for (const definition of definitions) opened.push({ definition, engine: await this.#open(definition) });
        if (this.#isClosing) throw new QARepVGGError('ERR_DISPOSED', 'the server is closing');
      } catch (error) {
        for (const { engine } of opened) engine.dispose();
        throw error;
      }
      const old = this.#models.get(name) ?? new Map<string, ServedModel>();
      for (const { definition, engine } of opened) this.#place(definition, engine);
      for (const [version, model] of old) {
        if (definitions.some((definition) => definition.version === version)) continue;
        this.#models.get(name)?.delete(version);
        this.#retire(model);
      }
    });
  }

  /** Requests that wait are still answered. @throws {QARepVGGError} ERR_NOT_FOUND */
  unload(name: string): Promise<void> {
    return this.#change(async () => {
      const versions = this.#models.get(name);
      if (!versions) throw unknownModel(name, this.names());
      this.#models.delete(name);
      for (const model of versions.values()) this.#retire(model);
    });
  }

  /** Reloads every model that is served. */
  async reload(): Promise<ReloadResult> {
    const reloaded: string[] = [];
    const failed: { name: string; message: string }[] = [];
    for (const name of this.names()) {
      try {
        await this.load(name);
        reloaded.push(name);
      } catch (error) {
        failed.push({ name, message: (error as Error).message });
      }
    }
    return { reloaded, failed };
  }

  /** What is served, and what could be. */
  async index(): Promise<IndexEntry[]> {
    const loaded = this.list().map(({ name, version }) => ({ name, version, state: 'READY' as const, reason: '' }));
    const others = (await this.#definitions()).filter(({ name, version }) => !this.#models.get(name)?.has(version));
    return [
      ...loaded,
      ...others.map(({ name, version }) => ({ name, version, state: 'UNAVAILABLE' as const, reason: 'unloaded' })),
    ];
  }

  /** The files of the models that are served. */
  async files(): Promise<{ name: string; path: string }[]> {
    return (await this.#definitions()).flatMap(({ name, source }) =>
      typeof source === 'string' && this.#models.has(name) ? [{ name, path: source }] : [],
    );
  }

  /** Refuses new requests, computes the pending ones and frees all memory. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#changes;
    for (const model of this.list()) this.#retire(model);
    this.#models.clear();
    await Promise.all(this.#closings);
  }

  #change<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#changes.then(change);
    this.#changes = result.catch(() => undefined);
    return result;
  }

  async #definitions(): Promise<Definition[]> {
    const { definitions, repository, settings } = this.#options;
    if (repository === undefined) return [...definitions];
    const files = await listRepository(repository);
    const configured = new Set(definitions.map(({ name }) => name));
    const found = files.filter(({ name }) => !configured.has(name));
    return [...definitions, ...found.map(({ name, version, path }) => ({ name, version, source: path, settings }))];
  }

  /** Opens a model and runs it once. */
  async #open({ source }: Definition): Promise<Engine> {
    const engine = await openEngine(source, this.#options.threads);
    try {
      await warmUp(engine);
      return engine;
    } catch (error) {
      engine.dispose();
      throw error;
    }
  }

  /** New requests get the new model; the old one answers those it has. */
  #place(definition: Definition, engine: Engine): void {
    const { name, version, settings } = definition;
    const versions = this.#models.get(name) ?? new Map<string, ServedModel>();
    const old = versions.get(version);
    const identity = { name, version, versions: () => [...(this.#models.get(name)?.keys() ?? [version])] };
    const model = new ServedModel(identity, engine, settings, this.scheduler, old?.statistics);
    versions.set(version, model);
    this.#models.set(name, versions);
    this.onServe?.(model);
    if (old) this.#retire(old);
  }

  #retire(model: ServedModel): void {
    const closing = model.close().finally(() => this.#closings.delete(closing));
    this.#closings.add(closing);
  }
}

function highest(versions: readonly string[]): string {
  return versions.reduce((best, version) => (Number(version) > Number(best) ? version : best));
}

/**
 * Plans memory and pages code in before the first request, and finds a model that cannot compute. Skipped where sizes are open,
 * or where inputs are integers, such as indices: only requests say what such a model can compute.
 */
async function warmUp(engine: Engine): Promise<void> {
  const isKnown = engine.inputs.every(
    ({ datatype, shape }) =>
      (datatype === 'FP32' || datatype === 'UINT8') && shape.every((dim, i) => i === 0 || dim !== -1),
  );
  if (!isKnown) return;
  const inputs = engine.inputs.map(({ name, datatype, shape }) => {
    const dims = shape.map((dim) => Math.max(dim, 1));
    return {
      name,
      datatype,
      shape: dims,
      bytes: bytesOf(allocate(datatype, countElements(dims))),
    };
  });
  await engine.run(inputs, new AbortController().signal);
}

function unknownModel(name: string, names: readonly string[]): QARepVGGError {
  return new QARepVGGError('ERR_NOT_FOUND', `no model named ${quote(name)}${didYouMean(name, names)}`);
}
