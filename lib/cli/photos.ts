import { mismatch } from '../errors';
import type { InputSize } from '../image-size';
import { Detector, type ImageSource, readLabels } from '../vision';
import { mapInOrder } from '../vision/map-in-order';
import { isUnreadable } from '../vision/unreadable';
import { withHint } from './errors';
import { inputFile } from './input';
import { untilInterrupted } from './interrupt';
import type { DetectorFlags, PhotoFlags } from './photo-flags';
import { PhotoProgress } from './progress';
import { formatTable } from './table';

/** The flags as options of `Classifier.create` and `Detector.create`. */
export async function photoOptions({ labels, size, threads }: PhotoFlags): Promise<{
  labels?: readonly string[];
  inputSize?: InputSize;
  threads?: number;
}> {
  return {
    ...(labels !== undefined && { labels: await readLabels(labels) }),
    ...(size !== undefined && { inputSize: size }),
    ...(threads !== undefined && { threads }),
  };
}

/** The detector that the flags describe. */
export async function detectorOf(flags: DetectorFlags): Promise<Detector> {
  const { model, decoder, score, iou, max } = flags;
  return Detector.create(await inputFile(model), {
    ...(await photoOptions(flags)),
    ...(decoder !== undefined && { decoder }),
    scoreThreshold: score,
    iouThreshold: iou,
    maxDetections: max,
  });
}

/** A photograph to ask about. */
export interface Photo {
  /** Its name in what is printed. */
  readonly file: string;
  readonly image: ImageSource;
}

/** The answer for a photograph, or why it was skipped. */
export type Answer<T> = { readonly answer: T } | { readonly skipped: string };

/**
 * Asks about each photograph, a few at once, with a bar on a terminal; then disposes the classifier or detector.
 *
 * @returns In the order of the photographs; undefined after a signal, which sets the exit code.
 * @throws {QARepVGGError} for a photograph that cannot be read, unless the flag skips it; ERR_INVALID_ARG when all are skipped.
 */
export async function askAbout<P extends Photo, T>(
  recognizer: { dispose(): void },
  photos: readonly P[],
  { skipUnreadable, json }: PhotoFlags,
  ask: (photo: P, signal: AbortSignal) => Promise<T>,
): Promise<Answer<T>[] | undefined> {
  const progress = new PhotoProgress(photos.length, json === true);
  const answerOf = async (photo: P, signal: AbortSignal): Promise<Answer<T>> => {
    try {
      return { answer: await ask(photo, signal) };
    } catch (error) {
      if (!isUnreadable(error) || photos.length === 1) throw error;
      if (!skipUnreadable) throw withHint(error);
      return { skipped: error.message };
    } finally {
      progress.increment();
    }
  };
  try {
    const answers = await untilInterrupted((signal) => mapInOrder(photos, (photo) => answerOf(photo, signal)));
    if (!answers) process.exitCode = 1;
    const [first] = answers ?? [];
    if (answers?.every((answer) => 'skipped' in answer) && first && 'skipped' in first) {
      throw mismatch('ERR_INVALID_ARG', 'photographs', 'at least one that can be read', `none; ${first.skipped}`);
    }
    return answers;
  } finally {
    progress.stop();
    recognizer.dispose();
  }
}

/** Paths as photographs. */
export function photosOf(files: readonly string[]): Photo[] {
  return files.map((file) => ({ file, image: file }));
}

/** Lines that say why a photograph has no answer. */
export function skippedPhoto({ file, skipped }: { readonly file: string; readonly skipped: string }): string {
  return `${file}\n${formatTable([['skipped:', skipped]], ['left', 'left'])}`;
}

/** Photographs without an answer, and why. */
export function skippedPhotos(
  photos: readonly Photo[],
  answers: readonly Answer<unknown>[],
): { readonly index: number; readonly file: string; readonly reason: string }[] {
  return answers.flatMap((answer, index) =>
    'skipped' in answer ? [{ index, file: (photos[index] as Photo).file, reason: answer.skipped }] : [],
  );
}
