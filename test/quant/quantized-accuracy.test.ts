import {
  type Dataset,
  evaluate,
  InferenceSession,
  loadFashionMnist,
  loadModel,
  type Network,
  quantize,
} from '../../lib';
import { bits } from '../support/compare';
import { runIntegers } from '../support/integer';
import { expectRejection } from '../support/refusal';

const folder = 'examples/data/fashion-mnist';
let network: Network;
let test_: Dataset;
let calibration: Dataset;

beforeAll(async () => {
  network = (await loadModel<Network>('models/fashion-mnist.safetensors')).reparameterize();
  test_ = await loadFashionMnist(folder, 'test');
  const train = await loadFashionMnist(folder, 'train');
  calibration = train.subset(Array.from({ length: 256 }, (_, i) => Math.floor((i * train.length) / 256)));
});

test('the shipped model is as right in integers as in float', async () => {
  const float = (await evaluate(network, test_)).accuracy;
  // Of 1,000 images, one is 0.1 %.
  const recipes = [
    [{}, 0.004],
    [{ biasCorrection: true }, 0.004],
    [{ method: 'minmax', scheme: 'symmetric', perChannel: false }, 0.008],
  ] as const;
  for (const [options, loss] of recipes) {
    const { model } = await quantize(network, calibration, options);
    expect((await evaluate(model, test_)).accuracy).toBeGreaterThan(float - loss);
  }
});

test('a session computes the bits of the integers, from floats and from bytes', async () => {
  const { model } = await quantize(network, calibration, { quantizeLogits: true });
  const session = await InferenceSession.create(model);
  const { mean, std } = network.options.preprocessing;
  const data = Float32Array.from(test_.images.subarray(0, 3 * 784), (byte) => {
    return (byte / 255 - (mean[0] as number)) / (std[0] as number);
  });
  const floats = { data, dims: [3, 1, 28, 28] };
  const { logits } = await session.run({ input: floats });
  // Loops in JavaScript are slow: one image.
  const first = { data: data.subarray(0, 784), dims: [1, 1, 28, 28] };
  expect(bits({ data: logits.data.subarray(0, 10), dims: [1, 10] })).toBe(bits(runIntegers(model, first)));
  const bytes = { data: test_.images.subarray(0, 3 * 784), dims: [3, 28, 28, 1] };
  expect(bits(session.runSync({ input: bytes }).logits)).toBe(bits(logits));
  session.dispose();
});

test('refused: images of other channels, sums that 32 bits cannot hold', async () => {
  const { model } = await quantize(network, calibration);
  const session = await InferenceSession.create(model);
  await expectRejection(
    session.run({ input: { data: new Float32Array(588), dims: [1, 3, 14, 14] } }),
    'ERR_SHAPE',
    'dims',
  );
  session.dispose();
  const [layer] = model.layers;
  if (layer?.kind === 'conv') layer.bias.fill(2 ** 31 - 1);
  await expectRejection(InferenceSession.create(model), 'ERR_QUANT_PARAM', 'layer stage0: expected sums below 2^31');
});
