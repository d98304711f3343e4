import { boundary, describeList, mismatch } from '../errors';
import type { InferenceSession, Preprocessing, ResizeFilter, Sides } from '../index';
import { integer, number, optional, type Parsed, parseOptions } from '../options';
import type { ImageSource } from './image-input';
import { coverAndCut } from './prepare';
import { rank, softmax } from './ranking';
import { Recognizer, recognizerFields, type VisionModel, type VisionRunOptions } from './recognizer';

/** Options of {@link Classifier.create}. */
export interface ClassifierOptions {
  /** Names of the classes, in the order of the outputs. @default the model's own, or ImageNet's where there are 1000 */
  readonly labels?: readonly string[];
  /** What turns bytes into numbers. @default the model's own, or else that of ImageNet */
  readonly preprocessing?: Preprocessing;
  /** How many classes an answer has. @default 5 */
  readonly top?: number;
  /** Side of the images, or [height, width], for a model that leaves it open. @default 224 */
  readonly inputSize?: number | readonly [height: number, width: number];
  /** The share of the shorter side that is used. @default that of the preprocessing, or 0.875 from 128 pixels on, else 1 */
  readonly crop?: number;
  /** How images are scaled, as by Pillow. @default 'bilinear' */
  readonly filter?: ResizeFilter;
  /** Most pixels of a file, which its header tells. @default 64,000,000 */
  readonly maxPixels?: number;
  /** Upper limit of threads. @default info().threads */
  readonly threads?: number;
}

/** A class that an image may be of. */
export interface Classification {
  readonly label: string;
  /** Probability. */
  readonly score: number;
}

const fields = {
  ...recognizerFields,
  top: integer(1, 65_536, 5),
  crop: optional(number(0.05, 1, 1)),
};

/** The means and deviations of ImageNet, averaged to one of each where a model does not have three channels. */
const imageNetPreprocessing: Preprocessing = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** Sums of probabilities in float32 are this near to 1. */
const tolerance = 1e-3;

/** Known to `create` alone. */
const key = Symbol('Classifier');

/**
 * From photographs to names of what they show: decodes, scales, crops and normalises images, runs the network, and ranks the
 * classes. Everything but the ranking happens off the JavaScript thread.
 *
 * @example
 * const classifier = await Classifier.create('resnet18.onnx');
 * const [best] = await classifier.classify('cat.jpg');
 * console.log(best); // { label: 'tabby', score: 0.62 }
 * classifier.dispose();
 */
export class Classifier {
  /** For raw outputs. */
  readonly session: InferenceSession;
  readonly #options: Parsed<typeof fields>;
  readonly #recognizer: Recognizer;

  /** @internal */
  constructor(caller: unknown, recognizer: Recognizer, options: Parsed<typeof fields>) {
    if (caller !== key) throw mismatch('ERR_INVALID_ARG', 'Classifier', 'a call of Classifier.create', 'a call of new');
    this.session = recognizer.session;
    this.#recognizer = recognizer;
    this.#options = options;
    const { outputMetadata } = this.session;
    const shape = outputMetadata[0]?.shape ?? [];
    this.#checkOutput(outputMetadata.length, shape);
    if (typeof shape[1] === 'number') recognizer.labelsFor(shape[1], undefined);
  }

  /**
   * @param model A network in deploy form, a quantised one, a `Model`, or the file of one.
   * @throws {QARepVGGError} (rejects) the errors of `InferenceSession.create`; ERR_MODEL_INCOMPATIBLE for a model that
   * does not take images or is no classifier; ERR_INVALID_ARG naming the option, such as labels that are not as many as
   * the classes.
   */
  static async create(model: VisionModel, options: ClassifierOptions = {}): Promise<Classifier> {
    return boundary('Classifier.create', async () => {
      const checked = parseOptions(fields, options);
      const describe = (session: InferenceSession) => {
        // Where neither a file nor its user says it, ImageNet's is the likeliest. Exporters that write labels divide by 255.
        const isUnknown = session.assumesPreprocessing && session.labels === undefined;
        const isImageNet = isUnknown && session.inputMetadata[0]?.shape.includes(3);
        const preprocessing = checked.preprocessing ?? (isImageNet ? imageNetPreprocessing : undefined);
        return { size: checked.inputSize, preprocessing, side: 224, scaling: [0, 1] as const };
      };
      return Recognizer.create(model, checked, describe, (frame) => new Classifier(key, frame, checked));
    });
  }

  /** Names of the classes; undefined before the first image where the model does not say how many there are. */
  get labels(): readonly string[] | undefined {
    return this.#recognizer.labels;
  }

  /**
   * The most probable classes of an image, best first; for an array of images, an array of such lists.
   *
   * @throws {QARepVGGError} (rejects) the errors of `readImage` for a file; ERR_SHAPE, ERR_DTYPE for pixels; ERR_ABORTED, ERR_DISPOSED.
   */
  async classify(image: ImageSource, options?: VisionRunOptions): Promise<Classification[]>;
  async classify(images: readonly ImageSource[], options?: VisionRunOptions): Promise<Classification[][]>;
  async classify(
    images: ImageSource | readonly ImageSource[],
    options: VisionRunOptions = {},
  ): Promise<Classification[] | Classification[][]> {
    return boundary('Classifier.classify', async () =>
      this.#recognizer.answer<Classification[]>(images, options, async (image, signal) => {
        const scores = await this.#scores(image, signal);
        const labels = this.labels as readonly string[];
        return rank(scores, this.#options.top).map(({ index, value }) => ({
          label: labels[index] as string,
          score: value,
        }));
      }),
    );
  }

  /**
   * The probabilities of all classes in the order of `labels`; for an array of images, an array of such lists.
   *
   * @throws {QARepVGGError} (rejects) the errors of {@link Classifier.classify}
   */
  async scores(image: ImageSource, options?: VisionRunOptions): Promise<Float64Array>;
  async scores(images: readonly ImageSource[], options?: VisionRunOptions): Promise<Float64Array[]>;
  async scores(
    images: ImageSource | readonly ImageSource[],
    options: VisionRunOptions = {},
  ): Promise<Float64Array | Float64Array[]> {
    return boundary('Classifier.scores', () =>
      this.#recognizer.answer(images, options, (image, signal) => this.#scores(image, signal)),
    );
  }

  /** Frees the memory; pending images are finished first. */
  dispose(): void {
    this.session.dispose();
  }

  async #scores(image: ImageSource, signal: AbortSignal | undefined): Promise<Float64Array> {
    const own = (this.#options.preprocessing ?? this.session.preprocessing) as Preprocessing | undefined; // checked by create
    const { crop = own?.crop } = this.#options;
    const { size } = this.#recognizer;
    const fit = (sides: Sides) => coverAndCut(sides, size, crop);
    const outputs = await this.#recognizer.run(image, fit, signal);
    const [{ data, dims }] = outputs as [(typeof outputs)[number]];
    this.#checkOutput(outputs.length, dims);
    this.#recognizer.labelsFor(dims[1] as number, undefined);
    return isProbabilities(data) ? Float64Array.from(data) : softmax(data);
  }

  /** [1, classes], or [1, classes, 1, 1]. */
  #checkOutput(count: number, dims: readonly (number | string)[]): void {
    const fits = count === 1 && dims.length >= 2 && dims.slice(2).every((dim) => dim === 1);
    // Some files do not describe their outputs before a run.
    if (fits || (count === 1 && dims.length === 0)) return;
    const received = count === 1 ? `one of dims ${describeList(dims)}` : `${count} outputs`;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', 'Classifier', 'a model with one output [n, classes]', received);
  }
}

/** A network may end in a softmax of its own. */
function isProbabilities(values: Float32Array): boolean {
  let sum = 0;
  for (const value of values) {
    if (!(value >= 0)) return false;
    sum += value;
  }
  return Math.abs(sum - 1) < tolerance;
}
