import type { Dataset } from '../formats/dataset';
import { QuantizedModel } from '../integer/quantized-model';
import { type Network, networkCoreOf } from '../nn/network';
import { integer, optional, parseOptions } from '../options';
import { signalField } from '../runtime/abort';
import type { InferenceSession } from '../runtime/session';
import { withSession } from '../runtime/with-session';
import { checkDataset } from './datasets';

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

/** How well a network does on labelled images. */
export interface Evaluation {
  /** Mean cross-entropy. */
  readonly loss: number;
  /** Share of images whose largest logit is that of their class. */
  readonly accuracy: number;
  /** Class of the largest logit, one for each image. */
  readonly predictions: Int32Array;
}

/**
 * Judges a network on labelled images, in the deploy form of its present weights, or a quantised network as it is, off the
 * JavaScript thread. The network does not change.
 *
 * @throws {QARepVGGError} (rejects) ERR_SHAPE, ERR_INVALID_ARG for a data set that does not fit; ERR_NON_FINITE for weights
 * that are not finite; ERR_BUFFER_DETACHED for a data set whose memory is gone; ERR_ABORTED, ERR_OUT_OF_MEMORY.
 *
 * @example
 * const test = await loadFashionMnist('/usr/share/datasets/fashion-mnist', 'test');
 * const { accuracy } = await evaluate(await loadModel('model.safetensors'), test);
 */
export async function evaluate(
  model: Network | QuantizedModel,
  dataset: Dataset,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const where = 'evaluate';
  const isQuantized = model instanceof QuantizedModel;
  checkDataset(dataset, isQuantized ? model.options : networkCoreOf(model, where).blueprint.options, where);
  const checked = parseOptions(where, fields, options);
  const { batchSize, threads, signal } = checked;
  const { preprocessing } = model.options;
  const sessionOptions = { maxBatch: batchSize, preprocessing, ...(threads !== undefined && { threads }) };
  return withSession(isQuantized ? model : model.reparameterize(), sessionOptions, (session) =>
    judge(session, dataset, batchSize, signal),
  );
}

async function judge(
  session: InferenceSession,
  dataset: Dataset,
  batchSize: number,
  signal: AbortSignal | undefined,
): Promise<Evaluation> {
  const predictions = new Int32Array(dataset.length);
  let [judged, loss, correct] = [0, 0, 0];
  for (const { images, dims, labels } of dataset.parts(batchSize)) {
    const { logits } = await session.run({ input: { data: images, dims } }, signal ? { signal } : {});
    const classes = logits.dims[1] as number;
    labels.forEach((label, i) => {
      const row = logits.data.subarray(i * classes, (i + 1) * classes);
      const best = argmax(row);
      predictions[judged++] = best;
      if (best === label) correct++;
      loss += crossEntropy(row, label);
    });
  }
  return { loss: loss / dataset.length, accuracy: correct / dataset.length, predictions };
}

/** The place of the largest number: the first of equals, as PyTorch's argmax. */
export function argmax(row: Float32Array): number {
  return row.reduce((best, value, i) => (value > (row[best] as number) ? i : best), 0);
}

/** log(sum of exp) - logit, with the largest taken out so that nothing overflows. */
function crossEntropy(row: Float32Array, label: number): number {
  const top = row[argmax(row)] as number;
  const sum = row.reduce((total, value) => total + Math.exp(value - top), 0);
  return Math.log(sum) + top - (row[label] as number);
}
