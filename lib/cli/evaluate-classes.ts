import path from 'node:path';
import { percent } from '../figures';
import { Tally } from '../train/tally';
import { Classifier } from '../vision';
import { listImages } from '../vision/list-images';
import { type ClassMatch, matchClasses } from '../vision/match-classes';
import { findData, loadPart, partOf } from './data';
import type { EvaluateFlags } from './evaluate-command';
import { inputFile } from './input';
import { askAbout, type Photo, photoOptions, skippedPhoto, skippedPhotos } from './photos';
import { formatTable } from './table';
import { checkUsage } from './usage';

/** Classes in the table, the worst ones. */
const shown = 10;

interface LabelledPhoto extends Photo {
  /** Index among the classes of the data. */
  readonly label: number;
}

/** The result for one class. */
interface ClassResult {
  readonly label: string;
  readonly images: number;
  readonly top1: number;
  /** The class that its photographs are most often mistaken for, if any. */
  readonly mistakenFor?: string;
}

/** Judges a classifier on photographs in folders of their classes. */
export async function evaluateClasses(flags: EvaluateFlags): Promise<void> {
  const { names, photos } = await labelledPhotos(flags.data);
  const classifier = await Classifier.create(await inputFile(flags.model), await photoOptions(flags));
  const start = performance.now();
  let match: ClassMatch | undefined;
  const [tally, confusion] = [new Tally(), new Confusion()];
  const answers = await askAbout(classifier, photos, flags, async ({ image, label }, signal) => {
    const scores = await classifier.scores(image, { signal });
    match ??= checkUsage(() => matchClasses(names, classifier.labels as readonly string[], true));
    const index = match.indices[label] as number;
    confusion.add(index, tally.addProbabilities(scores, index));
  });
  if (!answers || !match) return;
  const seconds = (performance.now() - start) / 1000;
  const { accuracy: top1, top5 } = tally.result;
  const classes = confusion.classes(classifier.labels as readonly string[]);
  const skipped = skippedPhotos(photos, answers);
  const images = photos.length - skipped.length;
  const { model, data, json } = flags;
  if (json) {
    const result = {
      model,
      data,
      images,
      top1,
      top5,
      matchedBy: match.by,
      seconds,
      classes,
      skipped: skipped.map(({ file, reason }) => ({ file, reason })),
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  const rows = [
    ['model', path.basename(model)],
    ['photographs', thousands(images)],
    ['classes', `${thousands(classes.length)}, matched by ${match.by}`],
    ['top-1', percent(top1)],
    ['top-5', percent(top5)],
    ['time', `${seconds.toFixed(1)} s, ${(images / seconds).toFixed(1)} photographs/s`],
  ];
  const lines = skipped.map(({ file, reason }) => skippedPhoto({ file, skipped: reason }));
  process.stdout.write(`${formatTable(rows, ['left', 'left'])}${classTable(classes)}${lines.join('')}`);
}

/** The photographs to judge on, and the names of their classes. */
async function labelledPhotos(folder: string): Promise<{ names: readonly string[]; photos: LabelledPhoto[] }> {
  const { train, validation } = await findData(folder);
  const part = partOf(validation ?? train, folder, 'to judge on');
  if (!part.split) {
    const { classes, images } = await listImages(part.folder);
    return { names: classes, photos: images.map(({ path, label }) => ({ file: path, image: path, label })) };
  }
  const { images } = await loadPart(part, {});
  const photos = Array.from(images.labels, (label, i) => ({
    file: `image ${i}`,
    image: { data: images.image(i), dims: [1, ...images.dims] },
    label,
  }));
  return { names: images.classes, photos };
}

/** Counts the predictions for the photographs of each class. */
class Confusion {
  readonly #counts = new Map<number, Map<number, number>>();

  add(label: number, prediction: number): void {
    const counts = this.#counts.get(label) ?? new Map<number, number>();
    this.#counts.set(label, counts);
    counts.set(prediction, (counts.get(prediction) ?? 0) + 1);
  }

  /** In the order of the model's classes. */
  classes(labels: readonly string[]): ClassResult[] {
    const entries = [...this.#counts].sort(([a], [b]) => a - b);
    return entries.map(([label, counts]) => {
      const images = [...counts.values()].reduce((sum, count) => sum + count, 0);
      const wrong = [...counts].filter(([prediction]) => prediction !== label);
      const [worst] = wrong.sort(([a, n], [b, m]) => m - n || a - b);
      return {
        label: labels[label] as string,
        images,
        top1: (counts.get(label) ?? 0) / images,
        ...(worst && { mistakenFor: labels[worst[0]] as string }),
      };
    });
  }
}

function classTable(classes: readonly ClassResult[]): string {
  const worst = [...classes].sort((a, b) => a.top1 - b.top1).slice(0, shown);
  const title = classes.length > shown ? `the ${shown} worst classes` : 'class';
  const rows = worst.map(({ label, images, top1, mistakenFor = '' }) => {
    return [label, thousands(images), percent(top1), mistakenFor];
  });
  return `\n${formatTable([[title, 'images', 'top-1', 'mistaken for'], ...rows], ['left', 'right', 'right', 'left'])}`;
}

function thousands(count: number): string {
  return count.toLocaleString('en-US');
}
