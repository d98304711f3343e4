import { quote, within } from '../errors';
import { sizeField } from '../image-size';
import { type ImageTransform, InferenceSession, type Sides, type Tensor, transformImage } from '../index';
import { anything, integer, optional, type Parsed, parseOptions } from '../options';
import { signalField } from '../runtime/abort';
import {
  type ImageInput,
  type ImageSource,
  type InputChoice,
  type InputDefaults,
  imageInputOf,
  readPixels,
} from './image-input';
import { labelsField, labelsFor } from './labels';
import { mapInOrder } from './map-in-order';
import { filterField } from './resize';

/** What a session is made from: a model, or the file of one. */
export type VisionModel = Parameters<typeof InferenceSession.create>[0];

/** Results of a run in the order of the session's outputs. */
export type Outputs = readonly (Tensor & { readonly name: string })[];

/** Options of a call. */
export interface VisionRunOptions {
  /** Rejects with ERR_ABORTED. */
  readonly signal?: AbortSignal;
}

const runFields = { signal: signalField };

/** Options that `Classifier` and `Detector` have in common. */
export const recognizerFields = {
  labels: labelsField,
  preprocessing: anything,
  inputSize: optional(sizeField(2 ** 14)),
  filter: filterField,
  maxPixels: optional(integer(1, 2 ** 31 - 1)),
  threads: optional(integer(1, 1024)),
};

type RecognizerOptions = Parsed<typeof recognizerFields>;

/** What the images that go into the model look like. */
export type InputDescription = InputChoice & InputDefaults;

/** The frame of `Classifier` and `Detector`: a session that takes an image at a time, and the names of its classes. */
export class Recognizer {
  readonly session: InferenceSession;
  readonly size: Sides;
  readonly #input: ImageInput;
  readonly #options: RecognizerOptions;
  #labels: readonly string[] | undefined;

  private constructor(session: InferenceSession, input: ImageInput, options: RecognizerOptions) {
    this.session = session;
    this.size = input.size;
    this.#input = input;
    this.#options = options;
  }

  /** @param make Makes the object around this one; if it throws, the session is disposed. */
  static async create<T>(
    model: VisionModel,
    options: RecognizerOptions,
    describe: (session: InferenceSession) => InputDescription,
    make: (recognizer: Recognizer) => T,
  ): Promise<T> {
    const { threads } = options;
    const session = await InferenceSession.create(model, threads === undefined ? {} : { threads });
    try {
      const description = describe(session);
      return make(new Recognizer(session, imageInputOf(session, description, description), options));
    } catch (error) {
      session.dispose();
      throw error;
    }
  }

  /** Undefined until `labelsFor` has been called. */
  get labels(): readonly string[] | undefined {
    return this.#labels;
  }

  /** Names for `classes` classes. @param own Those of the kind of network, where the model names none. */
  labelsFor(classes: number, own: readonly string[] | undefined): readonly string[] {
    this.#labels ??= labelsFor(classes, this.#options.labels, this.session.labels ?? own);
    return this.#labels;
  }

  /** The outputs for an image. @param arrange Brings it to the model's size. */
  async run(
    image: ImageSource,
    arrange: (sides: Sides) => ImageTransform,
    signal: AbortSignal | undefined,
  ): Promise<Outputs> {
    const { maxPixels, filter } = this.#options;
    const { channels, floats, name } = this.#input;
    const pixels = await readPixels(image, { channels, maxPixels, signal });
    const place = typeof image === 'string' ? quote(image) : 'image';
    const fit = (sides: Sides) => ({ ...within(place, () => arrange(sides)), filter });
    const prepared = await (floats ? transformImage(pixels, fit, signal, floats) : transformImage(pixels, fit, signal));
    const fetches = await this.session.run({ [name]: prepared }, signal ? { signal } : {});
    return this.session.outputNames.map((output) => ({ name: output, ...(fetches[output] as Tensor) }));
  }

  /** Calls `one` for an image, or for each image of an array. */
  async answer<T>(
    images: ImageSource | readonly ImageSource[],
    options: VisionRunOptions,
    one: (image: ImageSource, signal: AbortSignal | undefined) => Promise<T>,
  ): Promise<T | T[]> {
    const { signal } = parseOptions(runFields, options);
    if (!Array.isArray(images)) return one(images as ImageSource, signal);
    return mapInOrder(images as readonly ImageSource[], (image) => one(image, signal));
  }
}
