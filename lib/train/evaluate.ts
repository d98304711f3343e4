import { types } from 'node:util';
import { describe, describeList, mismatch } from '../errors';
import type { Dataset } from '../formats/dataset';
import { QuantizedModel } from '../model/quantized-model';
import { type Network, networkCoreOf } from '../nn/networks/network';
import { integer, optional, parseOptions, readForeign, wrongOption } from '../options';
import { signalField } from '../runtime/abort';
import type { ByteImages } from '../runtime/images';
import { InferenceSession } from '../runtime/session';
import { withSession } from '../runtime/with-session';
import type { Tensor } from '../tensor';
import { checkDataset } from './datasets';
import { Tally } from './tally';

/** Options of {@link evaluate}. */
export interface EvaluateOptions {
  /** Images at a time. @default 64 */
  readonly batchSize?: number;
  /** Upper limit of threads. @default info().threads */
  readonly threads?: number;
  /** Stops the work. */
  readonly signal?: AbortSignal;
}

const fields = { batchSize: integer(1, 65_536, 64), threads: optional(integer(1, 1024)), signal: signalField };

/** Returns the probabilities of all classes for an image of any size: a `Classifier` of `qarepvgg/vision`. */
export interface ImageScorer {
  scores(images: readonly ByteImages[], options?: { readonly signal?: AbortSignal }): Promise<Float64Array[]>;
}

/** How well a network does on labelled images. */
export interface Evaluation {
  /** Mean cross-entropy. */
  readonly loss: number;
  /** Top-1: the share of images whose class has the largest logit. */
  readonly accuracy: number;
  /** The share of images whose class has one of the five largest logits. */
  readonly top5: number;
  /** Class of the largest logit, one for each image. */
  readonly predictions: Int32Array;
}

/**
 * Evaluates a network on labelled images, off the JavaScript thread. A network in train form is evaluated as it would be in
 * deploy form. It does not change.
 *
 * Any session can be evaluated: its first input gets the images as bytes, which its preprocessing converts, and its first
 * output must be logits [n, classes]. If it is probabilities, `accuracy` is right and `loss` is not. A `Classifier` of
 * `qarepvgg/vision` also resizes and crops the images.
 *
 * @throws {QARepVGGError} (rejects) ERR_SHAPE, ERR_INVALID_ARG for a data set that does not fit; ERR_NON_FINITE for weights
 * that are not finite; ERR_BUFFER_DETACHED for a data set whose memory was transferred away; ERR_ABORTED, ERR_OUT_OF_MEMORY.
 *
 * @example
 * const test = await loadFashionMnist('/usr/share/datasets/fashion-mnist', 'test');
 * const { accuracy } = await evaluate(await loadModel('model.safetensors'), test);
 * const session = await InferenceSession.create('model.onnx');
 * console.log(accuracy, (await evaluate(session, test)).accuracy);
 */
export async function evaluate(
  model: Network | QuantizedModel | InferenceSession | ImageScorer,
  dataset: Dataset,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const where = 'evaluate';
  const session = readForeign(where, () => (model instanceof InferenceSession ? model : undefined));
  if (session) return evaluateSession(session, dataset, options, where);
  const scorer = readForeign(where, () => (isScorer(model) ? model : undefined));
  if (scorer) return evaluateScorer(scorer, dataset, options, where);
  const network = model as Network | QuantizedModel;
  const isQuantized = network instanceof QuantizedModel;
  checkDataset(dataset, isQuantized ? network.options : networkCoreOf(network, where).blueprint.options, where);
  const checked = parseOptions(where, fields, options);
  const { batchSize, threads, signal } = checked;
  const { preprocessing } = network.options;
  const sessionOptions = { maxBatch: batchSize, preprocessing, ...(threads !== undefined && { threads }) };
  return withSession(isQuantized ? network : network.reparameterize(), sessionOptions, (session) =>
    judge(session, dataset, batchSize, signal),
  );
}

async function evaluateSession(
  session: InferenceSession,
  dataset: Dataset,
  options: EvaluateOptions,
  where: string,
): Promise<Evaluation> {
  const { batchSize, threads, signal } = parseOptions(where, fields, options);
  if (threads !== undefined) throw wrongOption(where, 'threads', 'none, as a session has its own', `${threads}`);
  const [, inChannels, ...sides] = session.inputMetadata[0]?.shape ?? [];
  const [, numClasses, ...rest] = session.outputMetadata[0]?.shape ?? [];
  const isFloat = session.outputMetadata[0]?.type === 'float32';
  if (
    !isFloat ||
    typeof inChannels !== 'number' ||
    sides.length !== 2 ||
    typeof numClasses !== 'number' ||
    rest.length > 0
  ) {
    const expected = 'images [n, c, h, w] to floats [n, classes], with c and classes known';
    const received = [session.inputMetadata, session.outputMetadata].map((list) => describeList(list[0]?.shape ?? []));
    throw mismatch('ERR_SHAPE', `${where}, session`, expected, received.join(' to '));
  }
  checkDataset(dataset, { inChannels, numClasses }, where);
  return judge(session, dataset, batchSize, signal);
}

function isScorer(model: unknown): model is ImageScorer {
  return typeof model === 'object' && model !== null && typeof (model as Partial<ImageScorer>).scores === 'function';
}

async function evaluateScorer(
  scorer: ImageScorer,
  dataset: Dataset,
  options: EvaluateOptions,
  where: string,
): Promise<Evaluation> {
  const { batchSize, threads, signal } = parseOptions(where, fields, options);
  if (threads !== undefined) throw wrongOption(where, 'threads', 'none, as a classifier has its own', `${threads}`);
  const data = checkDataset(dataset, undefined, where);
  const predictions = new Int32Array(data.length);
  const tally = new Tally();
  let judged = 0;
  for (const { images, dims, labels } of data.parts(batchSize)) {
    const size = images.length / labels.length;
    const each = Array.from(labels, (_, i) => ({
      data: images.subarray(i * size, (i + 1) * size),
      dims: [1, ...dims.slice(1)],
    }));
    const scores = checkScores(await scorer.scores(each, signal ? { signal } : {}), each.length, where);
    scores.forEach((row, i) => {
      if (judged === 0) checkDataset(data, { inChannels: data.dims[2], numClasses: row.length }, where);
      predictions[judged++] = tally.addProbabilities(row, labels[i] as number);
    });
  }
  return { ...tally.result, predictions };
}

function checkScores(scores: unknown, images: number, where: string): readonly Float64Array[] {
  const list = readForeign(where, () => (Array.isArray(scores) ? [...(scores as unknown[])] : []));
  if (list.length === images && list.every((row) => types.isFloat64Array(row))) return list as Float64Array[];
  const expected = `a Float64Array for each of ${images} images`;
  throw mismatch('ERR_INVALID_ARG', `${where}, scores of the classifier`, expected, describe(scores));
}

async function judge(
  session: InferenceSession,
  dataset: Dataset,
  batchSize: number,
  signal: AbortSignal | undefined,
): Promise<Evaluation> {
  const predictions = new Int32Array(dataset.length);
  const tally = new Tally();
  let judged = 0;
  const [input, output] = [session.inputNames[0] as string, session.outputNames[0] as string];
  for (const { images, dims, labels } of dataset.parts(batchSize)) {
    const results = await session.run({ [input]: { data: images, dims } }, [output], signal ? { signal } : {});
    const { data, dims: outputDims } = results[output] as Tensor;
    const classes = outputDims[1] as number;
    labels.forEach((label, i) => {
      const row = data.subarray(i * classes, (i + 1) * classes);
      predictions[judged++] = tally.addLogits(row, label);
    });
  }
  return { ...tally.result, predictions };
}
