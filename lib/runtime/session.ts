import { inspect } from 'node:util';
import { boundary, describe, leaving, mismatch, within } from '../errors';
import { openDeployModel } from '../formats/open-model';
import { type FileSource, isFileSource } from '../formats/sources';
import type { Size } from '../image-size';
import { info } from '../info';
import { Model } from '../model/model';
import type { QuantizedModel } from '../model/quantized-model';
import type { Module } from '../nn/module';
import { isArray, parseOptions, wrongOption } from '../options';
import type { Preprocessing } from '../preprocessing';
import { refuseClones } from '../uncloneable';
import { signalField, withSignal } from './abort';
import type { Engine } from './engine';
import { checkFetches, type Feeds, type Fetches } from './feeds';
import { GraphEngine } from './graph-engine';
import type { ValueMetadata } from './metadata';
import { type CheckedSessionOptions, type SessionOptions, sessionFields } from './options';
import type { SessionStats } from './stats';

/** Options of {@link InferenceSession.run}. */
export interface RunOptions {
  /** Aborts the run: one that waits never starts, one that runs stops between two layers. */
  readonly signal?: AbortSignal;
}

const runFields = { signal: signalField };

/** The names that Node and the helpers of compilers use where the language does not have these symbols yet. */
const dispose: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for('nodejs.dispose');
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose');

/** Only `create` knows it, so nothing else can call the constructor. */
const key = Symbol('InferenceSession');

/**
 * A model that is ready to run, with its weights packed in native memory. The interface follows onnxruntime-node's class of
 * the same name. `run` does not block the JavaScript thread.
 *
 * Any number of runs may be pending at a time, on any number of sessions and worker threads. One run computes at a time, on
 * all threads of its session. Waiting runs with images of one size are computed together. The result of an image has the same
 * bits whichever images are computed with it, and on any number of threads.
 *
 * @example
 * const session = await InferenceSession.create('model.safetensors');
 * const { logits } = await session.run({ input: randn([8, 3, 224, 224]) });
 * console.log(logits.dims); // [8, 1000]
 * session.dispose();
 */
export class InferenceSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Name, type and shape of each input; open dimensions have names: N, H, W. */
  readonly inputMetadata: readonly ValueMetadata[];
  readonly outputMetadata: readonly ValueMetadata[];
  /** Names of the classes, in the order of the logits, if the model has any. */
  readonly labels: readonly string[] | undefined;
  /** How the bytes of an image become inputs: the option, or else the model's own. Undefined if the input is not images. */
  readonly preprocessing: Preprocessing | undefined;
  /** [height, width] of the images that memory is planned for: the option, or else the model's own. Other sizes work too.
   * Undefined for a graph whose sizes are open. */
  readonly inputSize: Size | undefined;
  /**
   * Whether each image of a run is computed independently of the others, so that images of several runs may share one run. True
   * for networks of this package; for a graph, false also where it is not known.
   */
  readonly independent: boolean;
  /** @internal */
  readonly assumesPreprocessing: boolean;
  /** @internal */
  readonly takesBytes: boolean;
  readonly #engine: Engine;
  readonly #underWay = new Set<Promise<unknown>>();

  /** @internal */
  constructor(caller: unknown, engine: Engine) {
    if (caller !== key) {
      throw mismatch('ERR_INVALID_ARG', 'InferenceSession', 'a call of InferenceSession.create', 'a call of new');
    }
    this.#engine = engine;
    const { inputs, outputs, labels, preprocessing, inputSize, independent } = engine.facts;
    this.inputNames = Object.freeze(inputs.map(({ name }) => name));
    this.outputNames = Object.freeze(outputs.map(({ name }) => name));
    this.inputMetadata = Object.freeze([...inputs]);
    this.outputMetadata = Object.freeze([...outputs]);
    this.labels = labels;
    this.preprocessing = preprocessing;
    this.inputSize = inputSize;
    this.independent = independent;
    this.assumesPreprocessing = engine.facts.assumesPreprocessing;
    this.takesBytes = engine.facts.takesBytes;
    refuseClones(this);
  }

  /**
   * Makes a session from a model in deploy form, a quantised model, or a model file: an ONNX file, or one that `saveModel` wrote.
   * A file is given as its path (an ONNX file's ends in .onnx), its `file:` URL, or its bytes. Networks in files are fused if
   * they are not yet. Weights and bytes are copied, so later changes to them do not affect the session.
   *
   * @throws {QARepVGGError} (rejects) ERR_MODEL_INCOMPATIBLE for a module that is not in deploy form; ERR_INVALID_ARG naming
   * the option; ERR_SHAPE for an `inputSize` that is too small; ERR_QUANT_PARAM naming the part of a quantised model that cannot
   * be computed; ERR_NON_FINITE for a file to be fused whose weights are not finite; ERR_LIMIT, ERR_OUT_OF_MEMORY; for a file,
   * also the errors of `loadModel` and `importOnnx`.
   *
   * @example
   * const session = await InferenceSession.create(require.resolve('qarepvgg/models/fashion-mnist.safetensors'));
   * console.log(session.labels, session.inputSize); // ['T-shirt/top', ...] [28, 28]
   */
  static async create(
    modelOrFile: Module | QuantizedModel | Model | FileSource,
    options: SessionOptions = {},
  ): Promise<InferenceSession> {
    return boundary('InferenceSession.create', async () => {
      const checked = parseOptions(sessionFields, options);
      const isFile = isFileSource(modelOrFile);
      const model = isFile ? await openDeployModel(modelOrFile) : modelOrFile;
      if (model instanceof Model) return new InferenceSession(key, await GraphEngine.create(model, checked, isFile));
      refuseInputs(checked);
      return new InferenceSession(key, await GraphEngine.ofNetwork(model, checked, isFile));
    });
  }

  /**
   * Runs the model and resolves to all outputs. Images are floats [n, c, h, w], used unchanged, or bytes [n, h, w, c], converted
   * by the session's preprocessing; n is at least 1, and any size works that the model's kernels fit into. Inputs are copied
   * before the call returns its promise.
   *
   * @throws {QARepVGGError} (rejects) ERR_SHAPE, ERR_DTYPE, ERR_BUFFER_*, ERR_SIZE_OVERFLOW for inputs; ERR_ABORTED, with the
   * signal's reason as its cause; ERR_DISPOSED; ERR_OUT_OF_MEMORY.
   *
   * @example
   * const { logits } = await session.run({ input: { data: pixels, dims: [1, 224, 224, 3] } }, { signal });
   */
  async run(feeds: Feeds, options?: RunOptions): Promise<Fetches>;
  /**
   * Runs the model and resolves to the named outputs alone.
   *
   * @param fetches Names of the outputs wanted.
   * @throws {QARepVGGError} (rejects) the errors of a run without names; ERR_INVALID_ARG for a name that is not in `outputNames`.
   *
   * @example
   * const { logits } = await session.run({ input }, ['logits']);
   */
  async run(feeds: Feeds, fetches: readonly string[], options?: RunOptions): Promise<Fetches>;
  async run(feeds: Feeds, second: readonly string[] | RunOptions = {}, third: RunOptions = {}): Promise<Fetches> {
    try {
      const session = InferenceSession.#check(this);
      const wanted = readWanted(second);
      if (wanted) checkFetches(wanted, session.outputNames);
      const { signal } = parseOptions(runFields, wanted ? third : second);
      const fetches = await session.#track(withSignal(session.#engine.run(feeds, signal), signal));
      return wanted ? pick(fetches, wanted) : fetches;
    } catch (error) {
      throw leaving('InferenceSession.run', error); // as boundary() does, without a closure for each run
    }
  }

  async #track(result: Promise<Fetches>): Promise<Fetches> {
    this.#underWay.add(result);
    try {
      return await result;
    } finally {
      this.#underWay.delete(result);
    }
  }

  /** Same as {@link run}, but the JavaScript thread waits: for scripts and worker threads. */
  runSync(feeds: Feeds, fetches?: readonly string[]): Fetches {
    return boundary('InferenceSession.runSync', () => {
      const session = InferenceSession.#check(this);
      if (fetches !== undefined) checkFetches(fetches, session.outputNames);
      const all = session.#engine.runSync(feeds);
      return fetches === undefined ? all : pick(all, fetches);
    });
  }

  /**
   * Returns the native memory of the session: packed weights, and activations for the image sizes in use.
   *
   * @throws {QARepVGGError} ERR_DISPOSED
   */
  memoryUsage(): { readonly bytes: number } {
    return boundary('InferenceSession.memoryUsage', () => {
      const session = InferenceSession.#check(this);
      return { bytes: session.#engine.memoryBytes() };
    });
  }

  /**
   * Returns what the session has done so far, and how many runs wait. Works after `dispose`, too.
   *
   * @example
   * const { images, computeTime, queue } = session.stats();
   * console.log(`${(computeTime / images).toFixed(1)} ms an image, ${queue} runs wait`);
   */
  stats(): SessionStats {
    const session = boundary('InferenceSession.stats', () => InferenceSession.#check(this));
    const { counter, threads } = session.#engine;
    const { runs, images, computeTime } = counter;
    const teamSize = Math.min(threads, info().teamSize);
    return { runs, images, queue: session.#underWay.size, computeTime, teamSize };
  }

  /** Frees the memory as soon as pending runs are done, and refuses new runs. Repeating a call changes nothing. */
  dispose(): void {
    boundary('InferenceSession.dispose', () => InferenceSession.#check(this)).#engine.dispose();
  }

  [dispose](): void {
    this.dispose();
  }

  /** Same as {@link dispose}, and waits for pending runs. */
  async [asyncDispose](): Promise<void> {
    this.dispose();
    await Promise.allSettled(this.#underWay);
  }

  /** "InferenceSession(Network(qarepvgg_a0, 3 -> 1000, S4, deploy form), images of 224 x 224)" */
  toString(): string {
    const { summary, inputSize } = boundary('InferenceSession.toString', () => InferenceSession.#check(this)).#engine
      .facts;
    return `InferenceSession(${summary}${inputSize ? `, images of ${inputSize.join(' x ')}` : ''})`;
  }

  /** What `console.log` prints. */
  [inspect.custom](): string {
    return #engine in this ? `${this}` : 'InferenceSession {}';
  }

  /** Without it, a method called on another object would end in an error about private fields. */
  static #check(session: unknown): InferenceSession {
    if (typeof session === 'object' && session !== null && #engine in session) return session;
    const expected = 'a session made by InferenceSession.create (sessions cannot be cloned or posted to a worker)';
    throw mismatch('ERR_INVALID_ARG', expected, describe(session));
  }
}

/** The names of outputs, where the second argument is not the options. */
function readWanted(second: readonly string[] | RunOptions): readonly string[] | undefined {
  return within('options', () => isArray(second)) ? (second as readonly string[]) : undefined;
}

/** Keeps the outputs that the caller asked for; all of them are computed anyway. */
function pick(fetches: Fetches, names: readonly string[]): Fetches {
  return Object.fromEntries(names.map((name) => [name, fetches[name]])) as unknown as Fetches;
}

function refuseInputs({ inputs }: CheckedSessionOptions): void {
  if (inputs === undefined) return;
  throw wrongOption('inputs', 'none for a network of this package, whose option is inputSize', describe(inputs));
}
