import type { Session, SessionSpec } from '../../binding';
import { addon } from '../binding';
import { callNative, describe, describeList, mismatch } from '../errors';
import { inputName, outputName } from '../formats/onnx/names';
import { openModel } from '../formats/open-model';
import { deployOps } from '../graph/deploy';
import { inferShapes } from '../graph/shapes';
import { concatenate, lowerQuantized } from '../integer/lower';
import { QuantizedModel } from '../integer/quantized-model';
import { coreOf } from '../nn/core';
import type { Module } from '../nn/module';
import { checkOption, parseOptions, readForeign } from '../options';
import { byteScaling, defaultPreprocessing, type Preprocessing, readPreprocessing } from '../preprocessing';
import { readTensor, type Tensor } from '../tensor';
import { signalField, throwIfAborted, withSignal } from './abort';
import { checkImages, type Images } from './images';
import { type CheckedSessionOptions, type SessionOptions, sessionFields } from './options';

/** What goes into a run, by name. */
export interface Feeds {
  readonly input: Images;
}

/** What comes out of a run, by name: [n, classes] for a network, [n, c, h, w] for a block or convolution. */
export interface Fetches {
  readonly logits: Tensor;
}

/** Options of {@link InferenceSession.run}. */
export interface RunOptions {
  /** Calls the run off: a waiting one is never computed, one under way stops between two layers. */
  readonly signal?: AbortSignal;
}

/** As Node and the helpers of compilers name them where the language does not have them yet. */
const dispose: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for('nodejs.dispose');
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose');

/** Known to `create` alone. */
const key = Symbol('InferenceSession');

/** Used where nothing says what size of images is to be expected. */
const defaultSide = 32;

/**
 * A re-parameterised model, ready to run: its weights copied and packed once, in native memory. The shape follows
 * onnxruntime-node's class of the same name; `run` does not block the JavaScript thread.
 *
 * Any number of runs may be under way at a time, on any number of sessions and in any number of worker threads; one run
 * computes at a time, on all threads of the session. Runs that wait together and have images of one size are computed
 * together. An image's result is the same bits whichever images are computed with it, and on however many threads.
 *
 * @example
 * const session = await InferenceSession.create('model.safetensors');
 * const { logits } = await session.run({ input: randn([8, 3, 224, 224]) });
 * console.log(logits.dims); // [8, 1000]
 * session.dispose();
 */
export class InferenceSession {
  readonly inputNames: readonly string[] = Object.freeze([inputName]);
  readonly outputNames: readonly string[] = Object.freeze([outputName]);
  readonly #native: Session;
  readonly #inChannels: number;
  readonly #isFlat: boolean;
  readonly #underWay = new Set<Promise<unknown>>();

  /** @internal */
  constructor(caller: unknown, native: Session, source: Pick<Source, 'inChannels' | 'flat'>) {
    if (caller !== key) {
      throw mismatch('ERR_INVALID_ARG', 'InferenceSession', 'a call of InferenceSession.create', 'one of new');
    }
    this.#native = native;
    this.#inChannels = source.inChannels;
    this.#isFlat = source.flat;
  }

  /**
   * Makes a session from a model in deploy form, from a quantised one, or from a file of either that `saveModel` or
   * `exportOnnx` (name ending in .onnx) has written. The weights are copied: what happens to the model afterwards does not
   * reach the session.
   *
   * @throws {QARepVGGError} (rejects) ERR_MODEL_INCOMPATIBLE for a model that is not in deploy form; ERR_INVALID_ARG naming
   * the option; ERR_SHAPE for an `inputSize` that is too small; ERR_QUANT_PARAM naming what in a quantised model cannot be
   * computed with; ERR_LIMIT, ERR_OUT_OF_MEMORY; as `loadModel` and `importOnnx` for a file.
   */
  static async create(
    modelOrPath: Module | QuantizedModel | string,
    options: SessionOptions = {},
  ): Promise<InferenceSession> {
    const where = 'InferenceSession.create';
    const checked = parseOptions(where, sessionFields, options);
    const isPath = typeof modelOrPath === 'string';
    const model = isPath ? await openModel(modelOrPath, where) : modelOrPath;
    const isQuantized = model instanceof QuantizedModel;
    const source = isQuantized ? quantizedSource(model, where) : moduleSource(model, where);
    const spec = sessionSpec(source, checked, where);
    // The addon borrows the weights; what the caller keeps may change meanwhile.
    const isOurs = isPath || isQuantized;
    const state = isOurs ? source.state : concatenate([source.state], source.state.length, where);
    const native = await callNative(where, () => addon.createSession(spec, state));
    return new InferenceSession(key, native, source);
  }

  /**
   * Runs the model on images: floats [n, c, h, w], taken as they are, or bytes [n, h, w, c], which go through the session's
   * preprocessing. n is 1 or more and any size is allowed that the model's kernels fit into. The images are copied before
   * the call returns its promise.
   *
   * @throws {QARepVGGError} (rejects) ERR_SHAPE, ERR_DTYPE, ERR_BUFFER_*, ERR_SIZE_OVERFLOW for the images; ERR_ABORTED, its
   * cause the signal's reason; ERR_DISPOSED; ERR_OUT_OF_MEMORY.
   *
   * @example
   * const { logits } = await session.run({ input: { data: pixels, dims: [1, 224, 224, 3] } }, { signal });
   */
  async run(feeds: Feeds, options: RunOptions = {}): Promise<Fetches> {
    const where = 'InferenceSession.run';
    const session = InferenceSession.#check(this, where);
    const { signal } = parseOptions(where, { signal: signalField }, options);
    const { images, dims } = session.#prepare(feeds, where, signal);
    const { data, count, height, width } = images;
    const { promise, ticket } = callNative(where, () => session.#native.run(data, count, height, width));
    const answer = callNative(where, () => promise);
    const result = withSignal({ promise: answer, cancel: () => session.#native.cancel(ticket) }, signal, where);
    session.#underWay.add(result);
    try {
      return { logits: { data: await result, dims } };
    } finally {
      session.#underWay.delete(result);
    }
  }

  /** As {@link run}, while the JavaScript thread waits: for scripts and worker threads. */
  runSync(feeds: Feeds): Fetches {
    const where = 'InferenceSession.runSync';
    const session = InferenceSession.#check(this, where);
    const { images, dims } = session.#prepare(feeds, where);
    const { data, count, height, width } = images;
    const logits = callNative(where, () => session.#native.runSync(data, count, height, width));
    return { logits: { data: logits, dims } };
  }

  /**
   * Native memory of the session: packed weights, and activations for the image sizes in use.
   *
   * @throws {QARepVGGError} ERR_DISPOSED
   */
  memoryUsage(): { readonly bytes: number } {
    const where = 'InferenceSession.memoryUsage';
    const session = InferenceSession.#check(this, where);
    return { bytes: callNative(where, () => session.#native.memoryBytes()) };
  }

  /** Gives the memory back as soon as the runs under way are done. New ones are refused. May be called again. */
  dispose(): void {
    InferenceSession.#check(this, 'InferenceSession.dispose').#native.dispose();
  }

  [dispose](): void {
    this.dispose();
  }

  /** As {@link dispose}; waits for the runs under way. */
  async [asyncDispose](): Promise<void> {
    this.dispose();
    await Promise.allSettled(this.#underWay);
  }

  /** A method called on another object must not end in an error that names private fields. */
  static #check(session: unknown, where: string): InferenceSession {
    if (typeof session === 'object' && session !== null && #native in session) return session;
    const expected = 'a session made by InferenceSession.create (sessions cannot be cloned or posted to a worker)';
    throw mismatch('ERR_INVALID_ARG', where, expected, describe(session));
  }

  /** Checks the images of a call; `dims` are those of the output. */
  #prepare(feeds: unknown, where: string, signal?: AbortSignal) {
    const place = `${where}, input`;
    const read = readTensor(readInput(feeds, where), place);
    // Not before: reading may run code of the caller's, which may abort.
    throwIfAborted(signal, where);
    const images = checkImages(read, this.#inChannels, place);
    const { height, width } = images;
    const [channels, ...pixels] = callNative(where, () => this.#native.outputDims(height, width)) as [
      number,
      number,
      number,
    ];
    return { images, dims: [images.count, channels, ...(this.#isFlat ? [] : pixels)] };
  }
}

function readInput(feeds: unknown, where: string): unknown {
  if (typeof feeds !== 'object' || feeds === null) {
    throw mismatch('ERR_INVALID_ARG', where, 'an object { input }', describe(feeds));
  }
  const [names, input] = readForeign(where, () => [Object.keys(feeds), (feeds as Partial<Feeds>).input] as const);
  const unknown = names.filter((name) => name !== 'input');
  if (unknown.length > 0)
    throw mismatch('ERR_INVALID_ARG', where, 'images under the name input only', describeList(unknown));
  if (input !== undefined) return input;
  throw mismatch('ERR_INVALID_ARG', where, 'images under the name input', 'nothing of that name');
}

/** What a session is made from. */
interface Source {
  readonly ops: SessionSpec['ops'];
  readonly state: Float32Array;
  readonly inChannels: number;
  readonly inputSize: number | undefined;
  readonly flat: boolean;
  readonly preprocessing: Preprocessing | undefined;
}

function moduleSource(model: Module, where: string): Source {
  const { ops, store, inChannels, inputSize, flat = false, preprocessing } = coreOf(model, where).definition;
  store.checkAttached(where);
  return { ops: deployOps(ops, where), state: store.values, inChannels, inputSize, flat, preprocessing };
}

function quantizedSource(model: QuantizedModel, where: string): Source {
  const { inChannels, flat, preprocessing } = model;
  const inputSize = model.isNetwork ? model.options.inputSize : undefined;
  return { ...lowerQuantized(model, where), inChannels, inputSize, flat, preprocessing };
}

function sessionSpec(source: Source, options: CheckedSessionOptions, where: string): SessionSpec {
  const { ops, state, inChannels, inputSize = defaultSide } = source;
  const [height, width] = options.inputSize ?? [inputSize, inputSize];
  const input = [options.maxBatch, inChannels, height, width];
  const own = source.preprocessing ?? defaultPreprocessing(inChannels);
  const preprocessing = options.preprocessing === undefined ? own : options.preprocessing;
  inferShapes(ops, input, false, where);
  return {
    input,
    ops,
    stateLength: state.length,
    algorithm: options.algorithm,
    ...(options.threads !== undefined && { threads: options.threads }),
    ...byteScaling(checkOption(where, 'preprocessing', (place) => readPreprocessing(preprocessing, inChannels, place))),
  };
}
