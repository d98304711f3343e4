import { types } from 'node:util';
import type { GraphArray, Session } from '../../binding';
import { addon } from '../binding';
import { failure, mismatch, quote } from '../errors';
import type { GraphTensor, Value } from '../graph/graph';
import { checkOpenDims } from '../graph/open-dims';
import { parameterInputs } from '../graph/parameters';
import type { InputDims } from '../graph/specialize';
import { computeTail, type SplitGraph, splitGraph } from '../graph/tail';
import type { Size } from '../image-size';
import { info } from '../info';
import { type ImagesInput, imagesInput, sidesOf } from '../model/image-layout';
import { completeInputDims } from '../model/input-dims';
import type { Model } from '../model/model';
import { checkOption } from '../options';
import { type Preprocessing, plainPreprocessing, readPreprocessing } from '../preprocessing';
import { inSlices } from '../slices';
import { inThisRealm } from '../tensor';
import { type Cancellable, throwIfAborted } from './abort';
import type { Engine, SessionFacts } from './engine';
import type { Fetches } from './feeds';
import { checkFeeds, type Feed, type GraphFeeds, numbersOf, readFeeds } from './graph-feeds';
import { GraphPlans } from './graph-plans';
import { valueMetadata } from './metadata';
import type { CheckedSessionOptions } from './options';
import type { DimsList, Plan, Plans } from './plans';
import { ownNetwork } from './session-model';
import { SinglePlan } from './single-plan';
import { RunCounter } from './stats';

/** An input that shapes depend on has at most this many numbers. */
const maxParameters = 2 ** 12;

interface Parts {
  readonly facts: SessionFacts;
  readonly plans: Plans;
  readonly inputs: readonly Value[];
  /** Names of the values that the plans compute. */
  readonly computed: readonly string[];
  readonly tail?: SplitGraph['tail'];
  /** Names of the outputs of a run. */
  readonly outputs: readonly string[];
  /** Inputs that a plan has as constants: shapes depend on their numbers. */
  readonly parameters: ReadonlySet<string>;
}

/** A graph in native memory: a network of this package, or one of any origin, compiled for the dims that come up. */
export class GraphEngine implements Engine {
  readonly facts: SessionFacts;
  readonly counter = new RunCounter();
  readonly threads: number;
  readonly #parts: Parts;

  private constructor(parts: Parts, threads = info().threads) {
    this.threads = threads;
    this.#parts = parts;
    this.facts = parts.facts;
  }

  /**
   * Makes the engine of a network of this package. The weights are copied, or taken, before the call returns.
   *
   * @param take The caller does not need the model any more, so its memory may be taken.
   */
  static async ofNetwork(model: unknown, options: CheckedSessionOptions, take: boolean): Promise<GraphEngine> {
    const { spec, inputs, ...own } = ownNetwork(model, options, take);
    const native = await addon.createSession(spec);
    const facts = { ...own.facts, takesBytes: native.takesBytes() };
    const plans = new SinglePlan(native);
    const outputs = facts.outputs.map(({ name }) => name);
    return new GraphEngine(
      { facts, plans, inputs, computed: outputs, outputs, parameters: new Set() },
      options.threads,
    );
  }

  /**
   * Makes the engine of a graph. Compiles at once for the dims of the option `inputs`, or, without it, if only the number of
   * images is open. Otherwise checks that the graph fits at all.
   *
   * @param owned Nobody else has the model, so its tensors can be freed once no plan needs them.
   */
  static async create(model: Model, options: CheckedSessionOptions, owned: boolean): Promise<GraphEngine> {
    const { graph } = model;
    const split = splitGraph(graph);
    const parameters = parameterInputs(split.head);
    const dims =
      options.inputs === undefined && !isClosed(graph.inputs)
        ? undefined
        : checkOption('inputs', () => completeInputDims(graph, options.inputs));
    const images = imagesInput(graph.inputs);
    const preprocessing = preprocessingOf(images, model, options);
    const { algorithm, threads, maxBatch } = options;
    const isOwned = owned && split.tail === undefined && parameters.size === 0;
    // The engine converts bytes to planes, which an input with its channels last is not.
    const converted = images && !images.isLast ? preprocessing : undefined;
    const compiling = { algorithm, threads, maxBatch, preprocessing: converted, isOwned };
    const plans = new GraphPlans(split.head, compiling);
    if (!dims && parameters.size === 0) await inSlices(checkOpenDims(split.head));
    const isPlanned = dims !== undefined && parameters.size === 0;
    const plan = isPlanned ? await plans.get(dims, new Map()).promise : undefined;
    const facts: SessionFacts = {
      summary: summaryOf(model, plan),
      inputs: graph.inputs.map(({ name, type, dims }) => valueMetadata(name, dims, type)),
      outputs: model.outputs.map(({ name, type, dims }) => valueMetadata(name, dims, type)),
      labels: model.labels,
      preprocessing,
      assumesPreprocessing: options.preprocessing === undefined && model.preprocessing === undefined,
      inputSize: images && dims && (sidesOf(dims.get(images.name) ?? [], images) as unknown as Size),
      // A tail, such as non-maximum suppression, computes all images together.
      independent: split.tail === undefined && (plan?.independent ?? false),
      takesBytes: plan?.native.takesBytes() ?? false,
    };
    const { head, tail } = split;
    const { inputs, outputs } = graph;
    return new GraphEngine({ facts, plans, inputs, computed: head.outputs, tail, outputs, parameters }, threads);
  }

  run(feeds: unknown, signal: AbortSignal | undefined): Cancellable<Fetches> {
    const { feeds: read, dims, parameters } = this.#read(feeds, signal);
    const { ready, promise, count } = this.#parts.plans.get(dims, parameters);
    const ask = askOf(read, dims, parameters, count);
    return ready ? this.#start(ready, ask) : this.#startLater(promise, ask);
  }

  runSync(feeds: unknown): Fetches {
    const { feeds: read, dims, parameters } = this.#read(feeds);
    const { plan, count } = this.#parts.plans.getNow(dims, parameters);
    const ask = askOf(read, dims, parameters, count);
    const call = this.#call(plan, ask);
    return this.#finish(plan, plan.native.runSync(...call.given), call);
  }

  memoryBytes(): number {
    return this.#parts.plans.memoryBytes();
  }

  dispose(): void {
    this.#parts.plans.dispose();
  }

  #start(plan: Plan, ask: Ask): Cancellable<Fetches> {
    const call = this.#call(plan, ask);
    const { promise, ticket } = plan.native.run(...call.given);
    const answer = promise.then((results) => this.#finish(plan, results, call));
    return { promise: answer, cancel: () => plan.native.cancel(ticket) };
  }

  /** Copies the feeds first: the caller may change them while the graph is compiled. */
  #startLater(plan: Promise<Plan>, ask: Ask): Cancellable<Fetches> {
    const copy = { ...ask, feeds: ask.feeds.map((feed) => ({ ...feed, data: feed.data.slice() })) };
    let cancel = (): void => undefined;
    let isCancelled = false;
    const run = async (): Promise<Fetches> => {
      const ready = await plan;
      if (isCancelled) throw failure('ERR_ABORTED', 'run aborted');
      const started = this.#start(ready, copy);
      cancel = started.cancel;
      return started.promise;
    };
    const abort = (): void => {
      isCancelled = true;
      cancel();
    };
    return { promise: run(), cancel: abort };
  }

  /** Bytes of images stay bytes if the plan takes them. */
  #call(plan: Plan, { feeds, dims, count }: Ask): Call {
    const { native, independent } = plan;
    const one = independent ? dims.map(([, ...rest]) => [1, ...rest]) : dims;
    const outputDims = plan.outputDims(one);
    const arrays = feeds.map((feed) =>
      feed.pixels && native.takesBytes() ? feed.data : numbersOf(feed, this.facts.preprocessing),
    );
    return { given: [arrays, independent ? count : 1, one], count, outputDims };
  }

  #finish(
    { native, types: own, independent }: Plan,
    results: readonly GraphArray[],
    { count, outputDims }: Call,
  ): Fetches {
    this.counter.add(native, count);
    const { computed, tail, outputs } = this.#parts;
    const tensors = computed.map((name, i) => {
      const [type, data] = [own[i], inOwnRealm(results[i] as GraphArray)];
      const dims = [...(outputDims[i] as readonly number[])];
      if (independent) dims[0] = count;
      return [name, { ...(type && { type }), data, dims }] as const;
    });
    if (!tail) return Object.fromEntries(tensors) as unknown as Fetches;
    const early = new Map(tensors as unknown as [string, GraphTensor][]);
    const late = computeTail(tail, early);
    return Object.fromEntries(outputs.map((name) => [name, late.get(name) ?? early.get(name)])) as Fetches;
  }

  /** Reads and checks the feeds. */
  #read(feeds: unknown, signal?: AbortSignal) {
    this.#parts.plans.check();
    const read = readFeeds(feeds, this.#parts.inputs);
    // After reading: that may run the caller's code, which may abort or dispose.
    throwIfAborted(signal);
    const checked = checkFeeds(read, this.facts.preprocessing);
    return { ...this.#divide(checked), dims: checked.dims };
  }

  /** Separates the inputs of a run from those that a plan has as constants. */
  #divide({ feeds, dims }: GraphFeeds) {
    const { inputs, parameters: wanted } = this.#parts;
    const parameters = new Map<string, GraphTensor>();
    const data = feeds.filter((feed, i) => {
      const { name, type } = inputs[i] as Value;
      if (!wanted.has(name)) return true;
      const { length } = feed.data;
      if (length > maxParameters) {
        const expected = `at most ${maxParameters} numbers, as shapes depend on them`;
        throw mismatch('ERR_LIMIT', quote(name), expected, `${length}`);
      }
      parameters.set(name, {
        type,
        dims: dims.get(name) as readonly number[],
        data: numbersOf(feed, this.facts.preprocessing).slice(),
      });
      return false;
    });
    return { feeds: data, parameters };
  }
}

/** A run that a caller asks for. */
interface Ask {
  readonly feeds: readonly Feed[];
  /** Dims of each feed. */
  readonly dims: readonly (readonly number[])[];
  /** How many images. */
  readonly count: number;
}

/** A run as its plan gets it. */
interface Call {
  readonly given: Parameters<Session['run']>;
  /** How many images. */
  readonly count: number;
  /** For one image if the plan is independent. */
  readonly outputDims: DimsList;
}

function askOf(feeds: readonly Feed[], dims: InputDims, parameters: ReadonlyMap<string, unknown>, count: number): Ask {
  return { feeds, dims: [...dims].flatMap(([name, list]) => (parameters.has(name) ? [] : [list])), count };
}

function inOwnRealm(data: GraphArray): GraphArray {
  return types.isFloat32Array(data) ? inThisRealm(data) : data;
}

/** "Model(images -> outputs, 640 nodes, int8 form), 69 of 71 convolutions in integers", once the graph is compiled. */
function summaryOf(model: Model, plan: Plan | undefined): string {
  if (!plan?.products || model.form !== 'int8') return `${model}`;
  const { integer, all } = plan.products;
  return `${model}, ${integer} of ${all} convolutions in integers`;
}

/** Whether only the number of images may be open. */
function isClosed(inputs: readonly Value[]): boolean {
  return inputs.every(({ dims }) => dims.every((dim, axis) => axis === 0 || typeof dim === 'number'));
}

function preprocessingOf(
  images: ImagesInput | undefined,
  model: Model,
  { preprocessing }: CheckedSessionOptions,
): Preprocessing | undefined {
  if (preprocessing === undefined && (model.preprocessing || !images)) return model.preprocessing;
  return checkOption('preprocessing', () => {
    if (!images) throw mismatch('ERR_INVALID_ARG', 'none, as no input is of images', 'one');
    const { channels } = images;
    // ONNX files of other origin do not say what they expect. Most expect numbers from 0 to 1.
    return readPreprocessing(preprocessing ?? plainPreprocessing(channels), channels);
  });
}
