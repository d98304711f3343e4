import path from 'node:path';
import {
  Dataset,
  evaluate,
  exportOnnx,
  InferenceSession,
  loadFashionMnist,
  loadModel,
  type Network,
  QARepVGGBlock,
  quantize,
  randn,
  verify,
  verifyEquivalence,
} from '../../lib';
import { root } from '../support/child';
import { temporaryFolder } from '../support/formats';

const folder = temporaryFolder();
let network: Network;
let images: Dataset;

beforeAll(async () => {
  network = await loadModel<Network>(path.join(root, 'models/fashion-mnist.safetensors'));
  const all = await loadFashionMnist(path.join(root, 'examples/data/fashion-mnist'), 'test');
  images = all.subset(Array.from({ length: 100 }, (_, i) => i));
});

test('a session is judged as the network it runs', async () => {
  await exportOnnx(network.fuse(), path.join(folder, 'model.onnx'));
  const expected = await evaluate(network, images);
  const session = await InferenceSession.create(path.join(folder, 'model.onnx'));
  expect(await evaluate(session, images, { batchSize: 30 })).toEqual({
    ...expected,
    loss: expect.closeTo(expected.loss, 5),
  });
  expect(expected.accuracy).toBeGreaterThan(0.85);
  session.dispose();
  await expect(evaluate(session, images)).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
});

test('a session that does not fit', async () => {
  const session = await InferenceSession.create(network.fuse());
  await expect(evaluate(session, images, { threads: 1 })).rejects.toMatchObject({ option: 'threads' });
  const colour = new Dataset({
    images: new Uint8Array(12),
    dims: [2, 2, 3],
    labels: Int32Array.of(0),
    classes: ['a'],
  });
  await expect(evaluate(session, colour)).rejects.toMatchObject({ code: 'ERR_SHAPE' });
  const block = await InferenceSession.create(new QARepVGGBlock({ inChannels: 1, outChannels: 4 }).eval().fuse());
  await expect(evaluate(block, images)).rejects.toThrow('expected images [n, c, h, w] to floats [n, classes]');
});

test('fuse and verify are what the papers call reparameterize and verifyEquivalence', () => {
  expect(verify).toBe(verifyEquivalence);
  const block = new QARepVGGBlock({ inChannels: 2, outChannels: 2, seed: 1 }).eval();
  const x = randn([1, 2, 5, 5]);
  expect(block.fuse().forward(x)).toEqual(block.reparameterize().forward(x));
  expect(network.fuse().stateDict()).toEqual(network.reparameterize().stateDict());
});

test('networks and quantised models say the same of themselves', async () => {
  const { model } = await quantize(network.fuse(), images.subset([0, 1]));
  for (const name of ['labels', 'preprocessing', 'inChannels', 'options'] as const) {
    expect([name, model[name]]).toEqual([name, network[name]]);
    expect(network[name]).toBeDefined();
  }
});
