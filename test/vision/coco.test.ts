import { readFileSync } from 'node:fs';
import path from 'node:path';
import {
  type CocoDataset,
  type CocoDetection,
  evaluateDetections,
  readCoco,
  readCocoDetections,
} from '../../lib/vision';
import { root } from '../support/child';
import { expectRefusal, expectRejection } from '../support/refusal';

const file = path.join(root, 'test/fixtures/coco.json');

/** Published with the figures of COCO's own evaluator; the file says where. */
const published = JSON.parse(readFileSync(file, 'utf8')) as CocoDataset & {
  detections: CocoDetection[];
  figures: Record<string, number>;
};

const images = [{ id: 1, file_name: '1.jpg', width: 100, height: 100 }];
const categories = [{ id: 7, name: 'cat' }];
const object = { image_id: 1, category_id: 7, bbox: [10, 10, 20, 20] } as const;
const oneCat = { images, categories, annotations: [object] };
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

test("the twelve figures of COCO's evaluator", async () => {
  const { categories: each, ...figures } = evaluateDetections(await readCoco(file), published.detections);
  const rounded = Object.entries(figures).map(([name, value]) => [name, Number(value.toFixed(6))]);
  expect(Object.fromEntries(rounded)).toEqual(published.figures);
  expect(each.length).toBeGreaterThan(50);
});

test('one box, and one beside it', () => {
  const right = { ...object, score: 0.5 };
  expect(evaluateDetections(oneCat, [right])).toMatchObject({ AP: 1, AR1: 1, APsmall: 1, APlarge: Number.NaN });
  const missed = { ...right, bbox: [60, 60, 20, 20] as const, score: 0.9 };
  expect(evaluateDetections(oneCat, [right, missed]).AP50).toBeCloseTo(0.5, 9);
  expect(evaluateDetections(oneCat, [])).toMatchObject({ AP: 0, AR100: 0 });
});

test('in a group any number of boxes are right', () => {
  const crowd = { ...object, bbox: [50, 50, 40, 40] as const, iscrowd: 1 as const };
  const inside = { ...object, bbox: [55, 55, 10, 10] as const, score: 0.9 };
  const data = { ...oneCat, annotations: [object, crowd] };
  expect(evaluateDetections(data, [inside, inside, { ...object, score: 0.5 }]).AP).toBe(1);
});

test('other categories do not count', () => {
  const odd = { ...object, category_id: 8, score: 1 };
  expect(evaluateDetections(oneCat, [odd, { ...object, score: 0.5 }]).AP).toBe(1);
});

test('files are read strictly', async () => {
  expect(await readCoco(bytes(oneCat))).toEqual({ ...oneCat, annotations: [{ ...object, area: 400, iscrowd: 0 }] });
  const refused = (change: object, message: string) =>
    expectRejection(readCoco(bytes({ ...oneCat, ...change })), 'ERR_INVALID_ARG', message);
  await refused({ images: undefined }, 'images');
  await refused({ images: [...images, ...images] }, 'each id once');
  await refused({ annotations: [{ ...object, image_id: 2 }] }, 'annotations[0], image_id');
  await refused({ annotations: [{ ...object, category_id: '7' }] }, 'annotations[0], category_id');
  await refused({ annotations: [{ ...object, bbox: [1, 2, -3, 4] }] }, 'annotations[0], bbox');
  await refused({ annotations: [{ ...object, iscrowd: 2 }] }, 'iscrowd');
  await refused({ categories: [{ id: 7 }] }, 'categories[0], name');
  await expectRejection(readCoco(Buffer.from('{"images": [')), 'ERR_INVALID_ARG', 'JSON');
  await expectRejection(readCoco(Uint8Array.of(0xff, 0xfe)), 'ERR_INVALID_ARG', 'UTF-8');
  await expectRejection(readCoco(path.join(root, 'missing.json')), 'ERR_INVALID_ARG', 'ENOENT');
  await expectRejection(readCocoDetections(bytes([{ ...object, score: 'x' }])), 'ERR_INVALID_ARG', '[0], score');
});

test('a detection in an image that is none', () => {
  const odd = { ...object, image_id: 2, score: 1 };
  expectRefusal(() => evaluateDetections(oneCat, [odd]), 'ERR_INVALID_ARG', 'detections[0], image_id');
});
