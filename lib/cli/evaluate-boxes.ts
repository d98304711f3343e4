import path from 'node:path';
import { within } from '../errors';
import { writeAtomically } from '../formats/atomic';
import {
  type CocoDataset,
  type CocoDetection,
  type CocoFigures,
  type DetectionEvaluation,
  evaluateDetections,
  readCoco,
} from '../vision';
import { type ClassMatch, matchClasses } from '../vision/match-classes';
import type { EvaluateFlags } from './evaluate-command';
import { filesOf } from './input';
import { checkOutputs } from './outputs';
import { askAbout, detectorOf, skippedPhoto, skippedPhotos } from './photos';
import { formatTable } from './table';
import { checkUsage, misuse } from './usage';

/** Categories in the table, the worst ones. */
const shown = 10;

const meanings: Record<keyof CocoFigures, string> = {
  AP: 'average precision, the mean over overlaps from 0.50 to 0.95',
  AP50: 'at an overlap of 0.50',
  AP75: 'at an overlap of 0.75',
  APsmall: 'of objects below 32 x 32 pixels',
  APmedium: 'up to 96 x 96',
  APlarge: 'above',
  AR1: 'average recall with 1 box per photograph and category',
  AR10: 'with 10',
  AR100: 'with 100',
  ARsmall: 'of objects below 32 x 32 pixels',
  ARmedium: 'up to 96 x 96',
  ARlarge: 'above',
};

/** Judges a detector on photographs whose boxes a file in COCO's format holds. */
export async function evaluateBoxes(flags: EvaluateFlags): Promise<void> {
  const { model, data, images = path.dirname(data), out, json } = flags;
  if (out !== undefined) await checkOut(out, data, model);
  const truth = await readCoco(data);
  const detector = await detectorOf(flags);
  const start = performance.now();
  const photos = truth.images.map(({ id, file_name }) => {
    const file = path.join(images, file_name);
    return { file, image: file, id };
  });
  let categories: Categories | undefined;
  const answers = await askAbout(detector, photos, flags, async ({ image, id }, signal) => {
    const found = await detector.detect(image, { signal });
    categories ??= checkUsage(() => categoriesByLabel(truth, detector.labels as readonly string[]));
    return found.flatMap(({ label, score, box }): CocoDetection[] => {
      const category = categories?.ids.get(label);
      return category === undefined ? [] : [{ image_id: id, category_id: category, bbox: box, score }];
    });
  });
  if (!answers) return;
  const seconds = (performance.now() - start) / 1000;
  const detections = answers.flatMap((answer) => ('skipped' in answer ? [] : answer.answer));
  const skipped = skippedPhotos(photos, answers);
  const judged = withoutPhotos(truth, new Set(skipped.map(({ index }) => (photos[index] as { id: number }).id)));
  const result = evaluateDetections(judged, detections);
  if (out !== undefined)
    await within('--out', () => writeAtomically(out, Buffer.from(`${JSON.stringify(detections)}\n`)));
  const count = judged.images.length;
  if (json) {
    const files = skipped.map(({ file, reason }) => ({ file, reason }));
    const matchedBy = categories?.by;
    const facts = { model, data, images: count, detections: detections.length, matchedBy, seconds };
    process.stdout.write(`${JSON.stringify({ ...facts, ...plain(result), skipped: files }, null, 2)}\n`);
    return;
  }
  const matched = categories ? `, matched by ${categories.by}` : '';
  const rows = [
    ['model', path.basename(model)],
    ['photographs', thousands(count)],
    [
      'objects',
      `${thousands(judged.annotations.length)} of ${thousands(result.categories.length)} categories${matched}`,
    ],
    ['boxes found', thousands(detections.length)],
    ['time', `${seconds.toFixed(1)} s, ${(count / seconds).toFixed(1)} photographs/s`],
  ];
  const lines = skipped.map(({ file, reason }) => skippedPhoto({ file, skipped: reason }));
  process.stdout.write(
    `${formatTable(rows, ['left', 'left'])}\n${figureTable(result)}${categoryTable(result)}${lines.join('')}`,
  );
  if (out !== undefined) process.stdout.write(`\nwritten to ${out}\n`);
}

async function checkOut(out: string, data: string, model: string): Promise<void> {
  if (path.extname(out).toLowerCase() !== '.json') {
    throw misuse('--out', 'a name that ends in .json', `"${out}"`);
  }
  await checkOutputs([{ name: '--out', file: out, format: 'report' }], filesOf(model, data));
}

interface Categories {
  /** Ids of the categories by the model's names for them. */
  readonly ids: ReadonlyMap<string, number>;
  readonly by: ClassMatch['by'];
}

/** The model need not know categories without objects. */
function categoriesByLabel({ categories, annotations }: CocoDataset, labels: readonly string[]): Categories {
  const used = new Set(annotations.map(({ category_id }) => category_id));
  const isSame = categories.length === labels.length;
  const wanted = isSame ? categories : categories.filter(({ id }) => used.has(id));
  const names = wanted.map(({ name }) => name);
  const { indices, by } = within('--data', () => matchClasses(names, labels, isSame));
  return { ids: new Map(wanted.map(({ id }, i) => [labels[indices[i] as number] as string, id])), by };
}

function withoutPhotos({ images, categories, annotations }: CocoDataset, ids: ReadonlySet<number>): CocoDataset {
  return {
    images: images.filter(({ id }) => !ids.has(id)),
    categories,
    annotations: annotations.filter(({ image_id }) => !ids.has(image_id)),
  };
}

/** JSON has no NaN. */
function plain({ categories, ...figures }: DetectionEvaluation) {
  const entries = Object.entries(figures).map(([name, value]) => [name, Number.isNaN(value) ? null : value]);
  return { ...Object.fromEntries(entries), categories };
}

function figureTable(result: DetectionEvaluation): string {
  const rows = Object.entries(meanings).map(([name, meaning]) => {
    return [name, digits(result[name as keyof CocoFigures]), meaning];
  });
  return formatTable(rows, ['left', 'right', 'left']);
}

function categoryTable({ categories }: DetectionEvaluation): string {
  if (categories.length < 2) return '';
  const worst = [...categories].sort((a, b) => a.AP - b.AP).slice(0, shown);
  const title = categories.length > shown ? `the ${shown} worst categories` : 'category';
  const rows = worst.map(({ name, AP, AP50 }) => [name, digits(AP), digits(AP50)]);
  return `\n${formatTable([[title, 'AP', 'AP50'], ...rows], ['left', 'right', 'right'])}`;
}

function digits(figure: number): string {
  return Number.isNaN(figure) ? '-' : figure.toFixed(4);
}

function thousands(count: number): string {
  return count.toLocaleString('en-US');
}
