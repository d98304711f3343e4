import type { Dataset } from '../formats/dataset';
import type { QuantizedModel } from '../model/quantized-model';
import type { Network } from '../nn/networks/network';
import type { ByteImages } from '../runtime/images';
import type { InferenceSession } from '../runtime/session';

/** Loaded with the first use. */
const later = (): typeof import('./later') => require('./later');

/** Options of {@link evaluate}. */
export interface EvaluateOptions {
  /** Images at a time. @default 64 */
  readonly batchSize?: number;
  /** Upper limit of threads. @default info().threads */
  readonly threads?: number;
  /** Stops the work. */
  readonly signal?: AbortSignal;
}

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
  return later().judge(model, dataset, options);
}
