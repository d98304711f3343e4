import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { InferenceSession, importOnnx, type Model } from '../../lib';
import { Classifier, cocoLabels, imageNetLabels, readLabels } from '../../lib/vision';
import { prepareImage } from '../../lib/vision/prepare';
import { root } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { deployNetwork, smallOptions } from '../support/networks';
import { type ModelSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

const folder = temporaryFolder();
const boot = path.join(root, 'examples/images/ankle-boot.png');
const cat = path.join(root, 'examples/images/cat.ppm');
const fashion = path.join(root, 'models/fashion-mnist.safetensors');
const onnxModel = (sketch: ModelSketch) => importOnnx<Model>(onnxFile(sketch));

test('a photograph becomes names with probabilities', async () => {
  const classifier = await Classifier.create(fashion, { top: 10 });
  const answer = await classifier.classify(boot);
  expect(answer[0]).toMatchObject({ label: 'Ankle boot' });
  expect(answer.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 9);
  expect(answer.map(({ score }) => score)).toEqual(answer.map(({ score }) => score).sort((a, b) => b - a));
  expect(await classifier.classify([boot, readFileSync(boot)])).toEqual([answer, answer]);
  classifier.dispose();
  await expectRejection(classifier.classify(boot), 'ERR_DISPOSED', 'session');
});

test("the session's answer on the pixels that the recipe of ImageNet makes", async () => {
  const network = deployNetwork('qarepvgg_a0', { ...smallOptions, inputSize: 192 });
  const labels = Array.from({ length: network.options.numClasses }, (_, i) => `c${i}`);
  const classifier = await Classifier.create(network, { labels, top: labels.length });
  const data = readFileSync(cat).subarray(-224 * 224 * 3);
  const pixels = await prepareImage({ data, dims: [1, 224, 224, 3] }, { height: 192, width: 192 });
  const session = await InferenceSession.create(network);
  const { logits } = await session.run({ input: pixels });
  const order = [...logits.data.keys()].sort((a, b) => (logits.data[b] as number) - (logits.data[a] as number));
  expect((await classifier.classify(cat)).map(({ label }) => label)).toEqual(order.map((i) => `c${i}`));
});

test('the part of an image that the network was trained on', async () => {
  const own = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], crop: 1 };
  const options = { ...smallOptions, inputSize: 192, preprocessing: own };
  const labels = Array.from({ length: deployNetwork('qarepvgg_a0', options).options.numClasses }, (_, i) => `c${i}`);
  const answer = async (crop?: number) => {
    const classifier = await Classifier.create(deployNetwork('qarepvgg_a0', options), {
      labels,
      ...(crop && { crop }),
    });
    return classifier.classify(cat);
  };
  expect(await answer()).toEqual(await answer(1));
  expect(await answer()).not.toEqual(await answer(0.875));
});

test('a network that ends in a softmax has probabilities already', async () => {
  const model = await onnxModel({
    inputs: { x: [1, 3, 2, 2] },
    outputs: ['p'],
    nodes: [
      ['GlobalAveragePool', ['x'], ['m']],
      ['Flatten', ['m'], ['f'], { axis: 1 }],
      ['Softmax', ['f'], ['p'], { axis: 1 }],
    ],
  });
  const plain = { mean: [0, 0, 0], std: [1, 1, 1] };
  const classifier = await Classifier.create(model, { labels: ['r', 'g', 'b'], preprocessing: plain });
  const [best] = await classifier.classify({ data: Uint8Array.of(0, 255, 0), dims: [1, 1, 1, 3] });
  expect(best).toEqual({ label: 'g', score: expect.closeTo(Math.E / (Math.E + 2), 5) });
});

test('names of data sets', async () => {
  expect([imageNetLabels.length, imageNetLabels[0], imageNetLabels[281], imageNetLabels[999]]).toEqual([
    1000,
    'tench',
    'tabby',
    'toilet tissue',
  ]);
  expect([cocoLabels.length, cocoLabels[0], cocoLabels[79]]).toEqual([80, 'person', 'toothbrush']);
  const file = path.join(folder, 'labels.txt');
  writeFileSync(file, 'cat\r\nhot dog\n\n');
  expect(await readLabels(file)).toEqual(['cat', 'hot dog']);
  writeFileSync(file, 'cat\n\ndog\n');
  await expectRejection(readLabels(file), 'ERR_INVALID_ARG', 'none on line 2');
  await expectRejection(readLabels(path.join(folder, 'missing.txt')), 'ERR_INVALID_ARG', 'ENOENT');
});

test('what cannot be is refused', async () => {
  await expectRejection(Classifier.create(fashion, { labels: ['cat'] }), 'ERR_INVALID_ARG', '10 names');
  await expectRejection(Classifier.create(fashion, { top: 0 }), 'ERR_INVALID_ARG', 'top');
  const maps = onnxModel({ inputs: { x: [1, 3, 8, 8] }, outputs: ['y'], nodes: [['Relu', ['x'], ['y']]] });
  const answer = Classifier.create(await maps).then((classifier) => classifier.classify(cat));
  await expectRejection(answer, 'ERR_MODEL_INCOMPATIBLE', 'one output [n, classes]');
});
