import { boundary, mismatch, within } from '../errors';
import {
  type CocoAnnotation,
  type CocoBox,
  type CocoDataset,
  type CocoDetection,
  checkDataset,
  checkDetections,
} from './coco';

/** COCO's twelve figures, from 0 to 1; NaN where there is nothing to find, such as no small object. */
export interface CocoFigures {
  /** Average precision, the mean over overlaps from 0.5 to 0.95: the figure that detectors are compared by. */
  readonly AP: number;
  readonly AP50: number;
  readonly AP75: number;
  /** For objects below 32 x 32 pixels, up to 96 x 96, and above. */
  readonly APsmall: number;
  readonly APmedium: number;
  readonly APlarge: number;
  /** Average recall with 1, 10 or 100 boxes per image and class. */
  readonly AR1: number;
  readonly AR10: number;
  readonly AR100: number;
  readonly ARsmall: number;
  readonly ARmedium: number;
  readonly ARlarge: number;
}

/** How good a detector is. */
export interface DetectionEvaluation extends CocoFigures {
  /** AP of each category that has objects, in the order of the data set. */
  readonly categories: readonly { readonly name: string; readonly AP: number; readonly AP50: number }[];
}

/** From 0.5 to 0.95, in steps that are rounded as in COCO's own evaluator. */
const overlaps = Array.from({ length: 10 }, (_, i) => (i === 9 ? 0.95 : 0.5 + i * ((0.95 - 0.5) / 9)));
const recalls = Array.from({ length: 101 }, (_, i) => (i === 100 ? 1 : i * 0.01));
const limits = [1, 10, 100] as const;
const most = 100;

const far = 1e10;
const areas = {
  all: [0, far],
  small: [0, 32 ** 2],
  medium: [32 ** 2, 96 ** 2],
  large: [96 ** 2, far],
} as const;

type AreaName = keyof typeof areas;

/**
 * Judges boxes by COCO's rules (https://cocodataset.org/#detection-eval): the same twelve figures as its own evaluator.
 * Detections of categories that the data set does not list do not count.
 *
 * @param groundTruth What `readCoco` has read, or the parsed JSON of such a file.
 * @param detections As in COCO's files of results.
 * @throws {QARepVGGError} ERR_INVALID_ARG naming the entry at fault, such as a detection in an image that the data set does
 * not have.
 *
 * @example
 * const { AP, AP50 } = evaluateDetections(await readCoco('instances.json'), await readCocoDetections('results.json'));
 */
export function evaluateDetections(
  groundTruth: CocoDataset,
  detections: readonly CocoDetection[],
): DetectionEvaluation {
  return boundary('evaluateDetections', () => {
    const data = within('groundTruth', () => checkDataset(groundTruth ?? {}));
    const found = within('detections', () => checkDetections(detections));
    const imageIds = new Set(data.images.map(({ id }) => id));
    const odd = found.findIndex(({ image_id }) => !imageIds.has(image_id));
    if (odd !== -1) {
      const place = `detections[${odd}], image_id`;
      throw mismatch('ERR_INVALID_ARG', place, 'the id of an image in the data set', `${found[odd]?.image_id}`);
    }
    const objects = group(data.annotations);
    const boxes = group(found);
    const results = data.categories.map(({ id, name }) => ({ name, ...judge(objects.get(id), boxes.get(id)) }));
    const mean = (of: (result: CategoryResult) => readonly number[] | undefined): number => {
      const values = results.flatMap((result) => of(result) ?? []);
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    const at = (overlap: number) => overlaps.findIndex((value) => Math.abs(value - overlap) < 1e-9);
    const precision = (area: AreaName, overlap?: number): number =>
      mean((result) => {
        const all = result[area]?.precision;
        return overlap === undefined ? all : all?.slice(at(overlap), at(overlap) + 1);
      });
    const recall = (area: AreaName, limit: number): number => mean((result) => result[area]?.recall.get(limit));
    return {
      AP: precision('all'),
      AP50: precision('all', 0.5),
      AP75: precision('all', 0.75),
      APsmall: precision('small'),
      APmedium: precision('medium'),
      APlarge: precision('large'),
      AR1: recall('all', 1),
      AR10: recall('all', 10),
      AR100: recall('all', 100),
      ARsmall: recall('small', most),
      ARmedium: recall('medium', most),
      ARlarge: recall('large', most),
      categories: results.flatMap(({ name, all }) =>
        all ? [{ name, AP: average(all.precision), AP50: all.precision[0] as number }] : [],
      ),
    };
  });
}

/** The result for a category and a range of areas, one number for each overlap; undefined where there are no objects. */
interface AreaResult {
  /** Mean over recalls. */
  readonly precision: readonly number[];
  /** By the limit of boxes per image. */
  readonly recall: ReadonlyMap<number, readonly number[]>;
}

type CategoryResult = Readonly<Record<AreaName, AreaResult | undefined>>;

type ByImage<T> = Map<number, T[]>;

/** Entries by category and image. */
function group<T extends { readonly category_id: number; readonly image_id: number }>(
  entries: readonly T[],
): Map<number, ByImage<T>> {
  const groups = new Map<number, ByImage<T>>();
  for (const entry of entries) {
    const images = groups.get(entry.category_id) ?? new Map<number, T[]>();
    groups.set(entry.category_id, images);
    const list = images.get(entry.image_id);
    if (list) list.push(entry);
    else images.set(entry.image_id, [entry]);
  }
  return groups;
}

/** A category in one image: objects, the best boxes with the best first, and overlaps [box][object]. */
interface Scene {
  readonly objects: readonly CocoAnnotation[];
  readonly boxes: readonly CocoDetection[];
  readonly overlaps: readonly (readonly number[])[];
}

function judge(
  objects: ByImage<CocoAnnotation> = new Map(),
  boxes: ByImage<CocoDetection> = new Map(),
): CategoryResult {
  const images = [...new Set([...objects.keys(), ...boxes.keys()])].sort((a, b) => a - b);
  const scenes = images.map((id): Scene => {
    const own = objects.get(id) ?? [];
    const best = [...(boxes.get(id) ?? [])].sort((a, b) => b.score - a.score).slice(0, most);
    return { objects: own, boxes: best, overlaps: best.map(({ bbox }) => own.map((object) => overlap(bbox, object))) };
  });
  const results = Object.entries(areas).map(([name, range]) => [name, judgeArea(scenes, range)] as const);
  return Object.fromEntries(results) as CategoryResult;
}

function judgeArea(scenes: readonly Scene[], range: readonly [number, number]): AreaResult | undefined {
  const matched = scenes.map((scene) => matchScene(scene, range));
  const count = matched.reduce((sum, { wanted }) => sum + wanted, 0);
  if (count === 0) return undefined;
  const curves = (limit: number) => {
    // The sort is stable: of equal scores, the first image's comes first.
    const ranked = matched.flatMap(({ outcomes }) => outcomes.slice(0, limit)).sort((a, b) => b.score - a.score);
    return overlaps.map((_, t) =>
      curveOf(
        ranked.map(({ outcome }) => outcome[t] as Outcome),
        count,
      ),
    );
  };
  const all = limits.map((limit) => [limit, curves(limit)] as const);
  const [, full] = all.at(-1) as (typeof all)[number];
  return {
    precision: full.map(({ precision }) => precision),
    recall: new Map(all.map(([limit, list]) => [limit, list.map(({ recall }) => recall)])),
  };
}

type Outcome = 'right' | 'wrong' | 'ignored';

interface Match {
  /** Objects that are to be found. */
  readonly wanted: number;
  /** For each box and each overlap. */
  readonly outcomes: readonly { readonly score: number; readonly outcome: readonly Outcome[] }[];
}

/** Each box, the best first, takes the object that it overlaps most. */
function matchScene({ objects, boxes, overlaps: table }: Scene, [low, high]: readonly [number, number]): Match {
  const isIgnored = objects.map(
    ({ iscrowd, area }) => iscrowd === 1 || (area as number) < low || (area as number) > high,
  );
  // Objects that do not count come last: only boxes that find no other take them.
  const order = objects.map((_, i) => i).sort((a, b) => Number(isIgnored[a]) - Number(isIgnored[b]));
  const outcomes = boxes.map(({ score }) => ({ score, outcome: [] as Outcome[] }));
  for (const threshold of overlaps) {
    const taken = new Set<number>();
    boxes.forEach(({ bbox: [, , width, height] }, d) => {
      let [best, match] = [Math.min(threshold, 1 - 1e-10), -1];
      for (const g of order) {
        if (taken.has(g) && objects[g]?.iscrowd !== 1) continue;
        if (match !== -1 && !isIgnored[match] && isIgnored[g]) break;
        const value = (table[d] as readonly number[])[g] as number;
        if (value < best) continue;
        [best, match] = [value, g];
      }
      if (match !== -1) taken.add(match);
      const isOutside = width * height < low || width * height > high;
      const ignored = match === -1 ? isOutside : (isIgnored[match] as boolean);
      outcomes[d]?.outcome.push(ignored ? 'ignored' : match === -1 ? 'wrong' : 'right');
    });
  }
  return { wanted: isIgnored.filter((ignored) => !ignored).length, outcomes };
}

/** Precision, made to fall with recall and averaged over recalls; and the recall in the end. */
function curveOf(outcomes: readonly Outcome[], count: number): { precision: number; recall: number } {
  const precisions: number[] = [];
  const reached: number[] = [];
  let [right, wrong] = [0, 0];
  for (const outcome of outcomes) {
    if (outcome === 'right') right++;
    if (outcome === 'wrong') wrong++;
    precisions.push(right / Math.max(1, right + wrong));
    reached.push(right / count);
  }
  for (let i = precisions.length - 1; i > 0; i--) {
    precisions[i - 1] = Math.max(precisions[i - 1] as number, precisions[i] as number);
  }
  let [sum, at] = [0, 0];
  for (const recall of recalls) {
    while (at < reached.length && (reached[at] as number) < recall) at++;
    sum += precisions[at] ?? 0;
  }
  return { precision: sum / recalls.length, recall: reached.at(-1) ?? 0 };
}

/** Intersection over union; for a group, over the area of the box. */
function overlap([x, y, width, height]: CocoBox, { bbox: [gx, gy, gw, gh], iscrowd }: CocoAnnotation): number {
  const w = Math.min(x + width, gx + gw) - Math.max(x, gx);
  const h = Math.min(y + height, gy + gh) - Math.max(y, gy);
  if (w <= 0 || h <= 0) return 0;
  const shared = w * h;
  return shared / (iscrowd === 1 ? width * height : width * height + gw * gh - shared);
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
