import { types } from 'node:util';
import { boundary, describe, describeList, mismatch } from '../errors';
import type { Dataset } from '../formats/dataset';
import { QuantizedModel } from '../model/quantized-model';
import { type Network, networkCoreOf } from '../nn/networks/network';
import { integer, optional, parseOptions, readForeign, wrongOption } from '../options';
import { signalField } from '../runtime/abort';
import { InferenceSession } from '../runtime/session';
import { withSession } from '../runtime/with-session';
import type { Tensor } from '../tensor';
import { checkDataset } from './datasets';
import type { EvaluateOptions, Evaluation, ImageScorer } from './evaluate';
import { Tally } from './tally';

const fields = { batchSize: integer(1, 65_536, 64), threads: optional(integer(1, 1024)), signal: signalField };

/** What {@link evaluate} does. */
export async function judge(
  model: Network | QuantizedModel | InferenceSession | ImageScorer,
  dataset: Dataset,
  options: EvaluateOptions,
): Promise<Evaluation> {
  return boundary('evaluate', async () => {
    const session = readForeign(() => (model instanceof InferenceSession ? model : undefined));
    if (session) return evaluateSession(session, dataset, options);
    const scorer = readForeign(() => (isScorer(model) ? model : undefined));
    if (scorer) return evaluateScorer(scorer, dataset, options);
    const network = model as Network | QuantizedModel;
    const isQuantized = network instanceof QuantizedModel;
    checkDataset(dataset, isQuantized ? network.options : networkCoreOf(network).blueprint.options);
    const checked = parseOptions(fields, options);
    const { batchSize, threads, signal } = checked;
    const { preprocessing } = network.options;
    const sessionOptions = { maxBatch: batchSize, preprocessing, ...(threads !== undefined && { threads }) };
    return withSession(isQuantized ? network : network.reparameterize(), sessionOptions, (session) =>
      judgeSession(session, dataset, batchSize, signal),
    );
  });
}

async function evaluateSession(
  session: InferenceSession,
  dataset: Dataset,
  options: EvaluateOptions,
): Promise<Evaluation> {
  const { batchSize, threads, signal } = parseOptions(fields, options);
  if (threads !== undefined) throw wrongOption('threads', 'none, as a session has its own', `${threads}`);
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
    throw mismatch('ERR_SHAPE', 'session', expected, received.join(' to '));
  }
  checkDataset(dataset, { inChannels, numClasses });
  return judgeSession(session, dataset, batchSize, signal);
}

function isScorer(model: unknown): model is ImageScorer {
  return typeof model === 'object' && model !== null && typeof (model as Partial<ImageScorer>).scores === 'function';
}

async function evaluateScorer(scorer: ImageScorer, dataset: Dataset, options: EvaluateOptions): Promise<Evaluation> {
  const { batchSize, threads, signal } = parseOptions(fields, options);
  if (threads !== undefined) throw wrongOption('threads', 'none, as a classifier has its own', `${threads}`);
  const data = checkDataset(dataset, undefined);
  const predictions = new Int32Array(data.length);
  const tally = new Tally();
  let judged = 0;
  for (const { images, dims, labels } of data.parts(batchSize)) {
    const size = images.length / labels.length;
    const each = Array.from(labels, (_, i) => ({
      data: images.subarray(i * size, (i + 1) * size),
      dims: [1, ...dims.slice(1)],
    }));
    const scores = checkScores(await scorer.scores(each, signal ? { signal } : {}), each.length);
    scores.forEach((row, i) => {
      if (judged === 0) checkDataset(data, { inChannels: data.dims[2], numClasses: row.length });
      predictions[judged++] = tally.addProbabilities(row, labels[i] as number);
    });
  }
  return { ...tally.result, predictions };
}

function checkScores(scores: unknown, images: number): readonly Float64Array[] {
  const list = readForeign(() => (Array.isArray(scores) ? [...(scores as unknown[])] : []));
  if (list.length === images && list.every((row) => types.isFloat64Array(row))) return list as Float64Array[];
  const expected = `a Float64Array for each of ${images} images`;
  throw mismatch('ERR_INVALID_ARG', 'scores of the classifier', expected, describe(scores));
}

async function judgeSession(
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
