import { boundary, mismatch } from '../errors';
import type { InferenceSession, Preprocessing, ResizeFilter, Sides } from '../index';
import { integer, number, oneOf, optional, type Parsed, parseOptions } from '../options';
import { classesOf, type Decoder, type DecoderName, decoders, recognizeDecoder } from './decoders';
import type { ImageSource } from './image-input';
import { fitInto, type Placement } from './letterbox';
import { suppress } from './nms';
import { type Outputs, Recognizer, recognizerFields, type VisionModel, type VisionRunOptions } from './recognizer';

/** Options of {@link Detector.create}. */
export interface DetectorOptions {
  /** Names of the classes, in the order of the scores. @default the model's own, or COCO's where there are 80 */
  readonly labels?: readonly string[];
  /** How outputs become boxes. @default told by the dims of the outputs */
  readonly decoder?: DecoderName;
  /** Boxes with this score or less are dropped. @default 0.25 */
  readonly scoreThreshold?: number;
  /** Of two boxes of a class that overlap by more than this, only the better one stays. @default 0.45 */
  readonly iouThreshold?: number;
  /** The most boxes of an image. @default 300 */
  readonly maxDetections?: number;
  /** What turns bytes into numbers. @default the model's own, or else that of the decoder: numbers from 0 to 1 for YOLO */
  readonly preprocessing?: Preprocessing;
  /** Side of the images, or [height, width], for a model that leaves it open. @default 640 */
  readonly inputSize?: number | readonly [height: number, width: number];
  /** How images are scaled, as by Pillow. @default 'bilinear' */
  readonly filter?: ResizeFilter;
  /** Most pixels of a file, which its header tells. @default 64,000,000 */
  readonly maxPixels?: number;
  /** Upper limit of threads. @default info().threads */
  readonly threads?: number;
}

/** Something in an image. */
export interface Detection {
  readonly label: string;
  /** From 0 to 1. */
  readonly score: number;
  /** Upper left corner and size in pixels, within the image. */
  readonly box: readonly [x: number, y: number, width: number, height: number];
}

const fields = {
  ...recognizerFields,
  decoder: optional(oneOf<DecoderName>(Object.keys(decoders) as DecoderName[], 'yolov6')),
  scoreThreshold: number(0, 1, 0.25),
  iouThreshold: number(0, 1, 0.45),
  maxDetections: integer(1, 100_000, 300),
};

/** Names of the classes that networks with one class are for. */
const soleLabels: ReadonlyMap<Decoder, readonly string[]> = new Map([[decoders.blazeface, ['face']]]);

/** Known to `create` alone. */
const key = Symbol('Detector');

/**
 * From photographs to boxes around what they show: decodes images, fits them into the network's input, runs it, and turns its
 * outputs into boxes in pixels of the photograph. Everything but the last step happens off the JavaScript thread.
 *
 * @example
 * const detector = await Detector.create('yolov6n.onnx');
 * for (const { label, score, box } of await detector.detect('street.jpg')) console.log(label, score, box);
 * detector.dispose();
 */
export class Detector {
  /** For raw outputs. */
  readonly session: InferenceSession;
  readonly #options: Parsed<typeof fields>;
  readonly #recognizer: Recognizer;
  /** Undefined before the first image where the model does not describe its outputs. */
  #decoder: Decoder | undefined;

  /** @internal */
  constructor(caller: unknown, recognizer: Recognizer, options: Parsed<typeof fields>, decoder: Decoder | undefined) {
    if (caller !== key) throw mismatch('ERR_INVALID_ARG', 'Detector', 'a call of Detector.create', 'a call of new');
    this.session = recognizer.session;
    this.#recognizer = recognizer;
    this.#options = options;
    this.#decoder = decoder;
    const outputs = knownOutputs(this.session);
    if (outputs) this.#describe(outputs);
  }

  /**
   * @param model A `Model`, or the file of one.
   * @throws {QARepVGGError} (rejects) the errors of `InferenceSession.create`; ERR_MODEL_INCOMPATIBLE for a model that
   * does not take images, or whose outputs fit no decoder; where the file does not describe its outputs, the first
   * image shows it; ERR_INVALID_ARG naming the option, such as labels that are not as many as the classes.
   */
  static async create(model: VisionModel, options: DetectorOptions = {}): Promise<Detector> {
    return boundary('Detector.create', async () => {
      const checked = parseOptions(fields, options);
      const decoderFor = (session: InferenceSession): Decoder | undefined =>
        checked.decoder
          ? decoders[checked.decoder]
          : recognizeDecoder(knownOutputs(session)?.map(({ dims }) => dims) ?? []);
      const describe = (session: InferenceSession) => {
        const { inputSize: size, preprocessing } = checked;
        return { size, preprocessing, side: 640, scaling: (decoderFor(session) ?? decoders.yolov6).scaling };
      };
      const make = (frame: Recognizer) => new Detector(key, frame, checked, decoderFor(frame.session));
      return Recognizer.create(model, checked, describe, make);
    });
  }

  /** Names of the classes; undefined before the first image where the model does not say how many there are. */
  get labels(): readonly string[] | undefined {
    return this.#recognizer.labels;
  }

  /**
   * What an image shows, best first; for an array of images, an array of such lists.
   *
   * @throws {QARepVGGError} (rejects) the errors of `readImage` for a file; ERR_SHAPE, ERR_DTYPE for pixels;
   * ERR_MODEL_INCOMPATIBLE for outputs that fit no decoder; ERR_ABORTED, ERR_DISPOSED.
   */
  async detect(image: ImageSource, options?: VisionRunOptions): Promise<Detection[]>;
  async detect(images: readonly ImageSource[], options?: VisionRunOptions): Promise<Detection[][]>;
  async detect(
    images: ImageSource | readonly ImageSource[],
    options: VisionRunOptions = {},
  ): Promise<Detection[] | Detection[][]> {
    return boundary('Detector.detect', () =>
      this.#recognizer.answer<Detection[]>(images, options, (image, signal) => this.#detect(image, signal)),
    );
  }

  /** Frees the memory; pending images are finished first. */
  dispose(): void {
    this.session.dispose();
  }

  async #detect(image: ImageSource, signal: AbortSignal | undefined): Promise<Detection[]> {
    const { size } = this.#recognizer;
    let own: Sides = size;
    let placement: Placement = { scaleX: 1, scaleY: 1, top: 0, left: 0 };
    const fit = (sides: Sides) => {
      const fitted = fitInto(sides, size);
      own = sides;
      placement = fitted.placement;
      return { ...fitted.transform, fill: (this.#decoder ?? decoders.yolov6).fill };
    };
    const outputs = await this.#recognizer.run(image, fit, signal);
    const { decoder, labels } = this.#describe(outputs);
    const { boxes, scores, classes } = decoder.decode(outputs, size, this.#options.scoreThreshold);
    return suppress({ boxes, scores, classes }, this.#options).map((i) => ({
      label: labels[classes[i] as number] as string,
      score: scores[i] as number,
      box: inImage(boxes.slice(4 * i, 4 * i + 4) as [number, number, number, number], placement, own),
    }));
  }

  /** The decoder for outputs of these dims, and names for their classes. */
  #describe(outputs: Outputs): { decoder: Decoder; labels: readonly string[] } {
    this.#decoder ??= recognizeDecoder(outputs.map(({ dims }) => dims));
    const classes = classesOf(this.#decoder, outputs);
    const decoder = this.#decoder as Decoder;
    return { decoder, labels: this.#recognizer.labelsFor(classes, soleLabels.get(decoder)) };
  }
}

/** Outputs as the file describes them, for a batch of 1; undefined where it leaves other dims open. */
function knownOutputs({ outputMetadata }: InferenceSession): Outputs | undefined {
  const outputs = outputMetadata.map(({ name, shape }) => ({
    name,
    dims: shape.map((dim, axis) => (axis === 0 && typeof dim === 'string' ? 1 : dim)) as number[],
    data: new Float32Array(),
  }));
  const isKnown = outputs.every(({ dims }) => dims.length > 0 && dims.every((dim) => typeof dim === 'number'));
  return isKnown ? outputs : undefined;
}

/** From pixels of the network's input to those of the image, cut at its border. */
function inImage(
  [x, y, width, height]: readonly [number, number, number, number],
  { scaleX, scaleY, top, left }: Placement,
  image: Sides,
): Detection['box'] {
  const clamp = (value: number, high: number): number => Math.min(Math.max(value, 0), high);
  const [x0, x1] = [x, x + width].map((at) => clamp((at - left) / scaleX, image.width)) as [number, number];
  const [y0, y1] = [y, y + height].map((at) => clamp((at - top) / scaleY, image.height)) as [number, number];
  return [x0, y0, x1 - x0, y1 - y0];
}
