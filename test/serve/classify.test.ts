import { readFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { InferenceSession, saveModel } from '../../lib';
import { centerCrop } from '../../lib/vision/crop';
import { resize } from '../../lib/vision/resize';
import { root } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { deployNetwork, smallOptions } from '../support/networks';
import { ask, servers } from '../support/serving';

const start = servers();
const folder = temporaryFolder();
const boot = readFileSync(path.join(root, 'examples/images/ankle-boot.png'));
const cat = readFileSync(path.join(root, 'examples/images/cat.ppm'));
const colour = path.join(folder, 'colour.safetensors');
let url: string;

beforeAll(async () => {
  await saveModel(deployNetwork('qarepvgg_a0', { ...smallOptions, inputSize: 192 }), colour);
  await saveModel(
    deployNetwork('qarepvgg_a0', { ...smallOptions, inChannels: 2 }),
    path.join(folder, 'two.safetensors'),
  );
  const models = { fashion: 'models/fashion-mnist.safetensors', colour, two: path.join(folder, 'two.safetensors') };
  url = (await start({ models, maxPixels: 100_000 })).url;
});

const classify = (body: Uint8Array | string, model = 'fashion', query = '', headers: Record<string, string> = {}) =>
  ask(`${url}/v2/models/${model}/classify${query}`, { method: 'POST', body, headers });

test('an image in, its classes out', async () => {
  const { status, body } = await classify(boot);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    model_name: 'fashion',
    model_version: '1',
    classes: [{ index: 9, label: 'Ankle boot' }, {}, {}, {}, {}],
  });
  const { classes } = body as { classes: { probability: number; logit: number }[] };
  const probabilities = classes.map(({ probability }) => probability);
  expect([...probabilities].sort((a, b) => b - a)).toEqual(probabilities);
  expect(probabilities[0]).toBeGreaterThan(0.5);
  const all = (await classify(boot, 'fashion', '?top=10')).body as typeof body & { classes: typeof classes };
  expect(all.classes.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 12);
});

test('colour images go through the recipe of ImageNet: scaled as by Pillow, cut in the middle', async () => {
  const pixels = { data: cat.subarray(-224 * 224 * 3), height: 224, width: 224, channels: 3 };
  const image = { data: pixels.data, dims: [1, 224, 224, 3] };
  const scaled = await resize(image, { height: 219, width: 219 }); // 192 / 0.875, rounded
  const { data } = await centerCrop(scaled, { height: 192, width: 192 });
  const session = await InferenceSession.create(colour);
  const { logits } = await session.run({ input: { data, dims: [1, 192, 192, 3] } });
  const wanted = [...logits.data.keys()].sort((a, b) => (logits.data[b] as number) - (logits.data[a] as number));
  for (const image of [
    cat,
    await sharp(pixels.data, { raw: { ...pixels, channels: 3 } })
      .png()
      .toBuffer(),
  ]) {
    const { body } = await classify(image, 'colour', '?top=10');
    const { classes } = body as { classes: { index: number; logit: number }[] };
    expect(classes.map(({ index }) => index)).toEqual(wanted);
    expect(classes.map(({ logit }) => logit)).toEqual(wanted.map((index) => logits.data[index]));
  }
});

test('crop says how much of the image counts', async () => {
  const [middle, whole] = [await classify(cat, 'colour', '?crop=0.5'), await classify(cat, 'colour', '?crop=1')];
  expect(middle.status).toBe(200);
  expect(middle.body).not.toEqual(whole.body);
});

test.each<[string, Uint8Array | string, string, string, number]>([
  ['nothing', '', 'fashion', '', 400],
  ['no image', 'text', 'fashion', '', 400],
  ['half an image', boot.subarray(0, 200), 'fashion', '', 400],
  ['a drawing', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', 'fashion', '', 400],
  ['a model of two channels', boot, 'two', '', 400],
  ['no such model', boot, 'nosuch', '', 404],
  ['too many classes', boot, 'fashion', '?top=1001', 400],
  ['no classes', boot, 'fashion', '?top=0', 400],
  ['classes twice', boot, 'fashion', '?top=1&top=2', 400],
  ['a crop of nothing', boot, 'fashion', '?crop=0', 400],
  ['a crop of more than all', boot, 'fashion', '?crop=1.5', 400],
])('%s is refused', async (_name, body, model, query, status) => {
  expect(await classify(body, model, query)).toMatchObject({ status, body: { error: expect.any(String) } });
});

test('forms are refused with the remedy', async () => {
  const answer = await classify('x', 'fashion', '', { 'content-type': 'multipart/form-data; boundary=x' });
  expect(answer).toMatchObject({ status: 400, body: { error: expect.stringContaining('--data-binary') } });
});

test('images of too many pixels are refused before they are decoded', async () => {
  const large = await sharp({ create: { width: 400, height: 400, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  expect(await classify(large, 'colour')).toMatchObject({ status: 413 });
  const thin = await sharp({ create: { width: 400, height: 2, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  expect(await classify(thin, 'colour')).toMatchObject({ status: 400 });
});

test('what a model was trained to look at comes before the recipe of ImageNet', async () => {
  const whole = path.join(folder, 'whole.safetensors');
  const preprocessing = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], crop: 1 };
  await saveModel(deployNetwork('qarepvgg_a0', { ...smallOptions, inputSize: 192, preprocessing }), whole);
  const { url } = await start({ models: { whole, colour } });
  const ranked = async (model: string, query = '') => {
    const { body } = await ask(`${url}/v2/models/${model}/classify${query}`, { method: 'POST', body: cat });
    return (body as { classes: unknown }).classes;
  };
  expect(await ranked('whole')).toEqual(await ranked('colour', '?crop=1'));
  expect(await ranked('whole')).not.toEqual(await ranked('colour'));
  expect(await ranked('whole', '?crop=0.875')).toEqual(await ranked('colour'));
});
