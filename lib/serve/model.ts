import { didYouMean } from '../did-you-mean';
import { describe, describeList, mismatch, quote, within } from '../errors';
import { classify } from './classification';
import { countElements, elementSize } from './datatypes';
import type { Engine } from './engine';
import type { Lane } from './lane';
import type { Scheduler } from './scheduler';
import { Statistics } from './statistics';
import type {
  InferRequest,
  InferResponse,
  ModelEntry,
  ModelMetadata,
  RequestedOutput,
  TensorMetadata,
  WireTensor,
} from './types';

/** How a model is served; see `ServeOptions`. */
export interface ModelSettings {
  readonly maxBatch: number;
  readonly queueDelay: number;
  readonly maxQueue: number;
  readonly timeout: number;
}

/** One version of a model: an engine behind a queue. */
export class ServedModel implements ModelEntry {
  readonly name: string;
  readonly version: string;
  readonly engine: Engine;
  readonly settings: ModelSettings;
  readonly statistics: Statistics;
  readonly #lane: Lane<readonly WireTensor[], readonly WireTensor[]>;
  readonly #versions: () => readonly string[];

  constructor(
    { name, version, versions }: { name: string; version: string; versions: () => readonly string[] },
    engine: Engine,
    settings: ModelSettings,
    scheduler: Scheduler,
    statistics = new Statistics(),
  ) {
    this.name = name;
    this.version = version;
    this.engine = engine;
    this.settings = settings;
    this.statistics = statistics;
    this.#versions = versions;
    const batcher = new Batcher(engine);
    this.#lane = scheduler.lane({
      ...settings,
      maxBatch: engine.isBatched ? settings.maxBatch : 1,
      run: (requests, signal) => batcher.run(requests, signal),
      onBatch: (report) => this.statistics.batch(report),
    });
  }

  get labels(): readonly string[] | undefined {
    return this.engine.labels;
  }

  get preprocessing() {
    return this.engine.image?.preprocessing;
  }

  /** Requests that wait. */
  get pending(): number {
    return this.#lane.length;
  }

  get isFull(): boolean {
    return this.#lane.isFull;
  }

  metadata(): ModelMetadata {
    const { platform, inputs, outputs } = this.engine;
    return { name: this.name, versions: this.#versions(), platform, inputs, outputs };
  }

  async infer(request: InferRequest): Promise<InferResponse> {
    const begun = performance.now();
    try {
      const inputs = this.#checkInputs(request.inputs);
      const select = this.#selection(request.outputs);
      const latest = begun + this.settings.timeout;
      const results = await this.#lane.submit(inputs, {
        rows: this.engine.isBatched ? (inputs[0]?.shape[0] as number) : 1,
        key: keyOf(inputs),
        deadline: Math.min(request.deadline ?? latest, latest),
        cancellation: request.cancellation,
      });
      const outputs = select(results);
      this.statistics.success(performance.now() - begun);
      return { modelName: this.name, modelVersion: this.version, outputs };
    } catch (error) {
      this.statistics.failure(error, performance.now() - begun);
      throw error;
    }
  }

  /** Computes the pending requests, then frees the memory. */
  async close(): Promise<void> {
    await this.#lane.close();
    this.engine.dispose();
  }

  /** The inputs, checked, in the order of the model. */
  #checkInputs(given: readonly WireTensor[]): WireTensor[] {
    const expected = this.engine.inputs;
    if (given.length !== expected.length) {
      const names = expected.map(({ name }) => name);
      throw mismatch('ERR_INVALID_ARG', 'inputs', `${names.length}: ${describeList(names)}`, `${given.length}`);
    }
    const inputs = expected.map((metadata) => {
      const tensor = given.find(({ name }) => name === metadata.name);
      if (!tensor) throw mismatch('ERR_INVALID_ARG', 'inputs', `one named ${quote(metadata.name)}`, 'none');
      within(`input ${quote(tensor.name)}`, () => checkInput(tensor, this.#form(metadata, tensor)));
      return tensor;
    });
    const [rows, ...others] = this.engine.isBatched ? inputs.map(({ shape }) => shape[0]) : [];
    if (others.some((other) => other !== rows)) {
      throw mismatch('ERR_SHAPE', 'inputs', 'the same first dim in all of them', describeList([rows, ...others]));
    }
    return inputs;
  }

  /** What an input must be; images may come as bytes, channels last. */
  #form(metadata: TensorMetadata, { datatype }: WireTensor): TensorMetadata {
    const { image } = this.engine;
    if (!image || datatype !== 'UINT8') return metadata;
    return { ...metadata, datatype, shape: [-1, image.height, image.width, image.channels] };
  }

  /** A function that picks the wanted outputs from all. */
  #selection(requested: readonly RequestedOutput[] | undefined): (all: readonly WireTensor[]) => readonly WireTensor[] {
    if (requested === undefined) return (all) => all;
    const wanted = requested.map(({ name, classification }) => [this.#output(name), classification] as const);
    return (all) =>
      wanted.map(([index, count]) => {
        const output = all[index] as WireTensor;
        return count === undefined ? output : classify(output, count, this.labels);
      });
  }

  #output(name: string): number {
    const index = this.engine.outputs.findIndex((output) => output.name === name);
    if (index >= 0) return index;
    const names = this.engine.outputs.map((output) => output.name);
    throw mismatch(
      'ERR_INVALID_ARG',
      'outputs',
      `names among ${describeList(names)}`,
      describe(name) + didYouMean(name, names),
    );
  }
}

/** Requests with the same key differ in the first dim alone. */
function keyOf(inputs: readonly WireTensor[]): string {
  let key = '';
  for (const { datatype, shape } of inputs) {
    key += datatype;
    for (let i = 1; i < shape.length; i++) key += `,${shape[i]}`;
  }
  return key;
}

function checkInput({ datatype, shape, bytes }: WireTensor, expected: TensorMetadata): void {
  if (datatype !== expected.datatype) throw mismatch('ERR_DTYPE', expected.datatype, datatype);
  const fits = (dim: number, i: number): boolean => dim >= 1 && (expected.shape[i] === -1 || expected.shape[i] === dim);
  if (shape.length !== expected.shape.length || !shape.every(fits)) {
    throw mismatch('ERR_SHAPE', 'shape', describeList(expected.shape), describeList(shape));
  }
  const size = countElements(shape) * elementSize(datatype);
  if (bytes.byteLength !== size) {
    throw mismatch('ERR_BUFFER_SIZE', `${size} bytes, as the shape says`, `${bytes.byteLength}`);
  }
}

/**
 * Runs requests whose shapes differ in the first dim alone as one. Their inputs are joined in memory that is reused: the engine
 * copies it before it returns a promise, and fresh memory is slow to get.
 */
class Batcher {
  readonly #engine: Engine;
  #memory: Uint8Array[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async run(requests: readonly (readonly WireTensor[])[], signal: AbortSignal): Promise<(readonly WireTensor[])[]> {
    const [first] = requests as [readonly WireTensor[]];
    if (requests.length === 1) return [await this.#engine.run(first, signal)];
    const inputs = first.map((_, i) =>
      this.#gather(
        requests.map((request) => request[i] as WireTensor),
        i,
      ),
    );
    const outputs = await this.#engine.run(inputs, signal);
    const rows = requests.map((request) => request[0]?.shape[0] as number);
    const parts = outputs.map((output) => split(output, rows));
    return requests.map((_, i) => parts.map((part) => part[i] as WireTensor));
  }

  #gather(tensors: readonly WireTensor[], index: number): WireTensor {
    const [first] = tensors as [WireTensor];
    const rows = tensors.reduce((sum, { shape }) => sum + (shape[0] as number), 0);
    const length = tensors.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
    let memory = this.#memory[index];
    if (!memory || memory.byteLength < length) {
      memory = new Uint8Array(length);
      this.#memory[index] = memory;
    }
    let offset = 0;
    for (const { bytes } of tensors) {
      memory.set(bytes, offset);
      offset += bytes.byteLength;
    }
    return { ...first, shape: [rows, ...first.shape.slice(1)], bytes: memory.subarray(0, length) };
  }
}

function split(tensor: WireTensor, rows: readonly number[]): WireTensor[] {
  const size = tensor.bytes.byteLength / (tensor.shape[0] as number);
  let offset = 0;
  return rows.map((count) => {
    const bytes = tensor.bytes.subarray(offset, offset + count * size);
    offset += count * size;
    return { ...tensor, shape: [count, ...tensor.shape.slice(1)], bytes };
  });
}
