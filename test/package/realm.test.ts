import { createModel, Dataset, evaluate, InferenceSession, QARepVGGBlock, quantize, randn, tensor } from '../../lib';
import { deployNetwork, tiny } from '../support/networks';

// jest runs tests in a realm of their own; the addon was loaded in that of jest itself.

test('results are instances of the Float32Array of whoever called', async () => {
  const model = deployNetwork('qarepvgg_a0', tiny);
  const x = randn([2, 2, 17, 17]);
  const session = await InferenceSession.create(model);
  const block = new QARepVGGBlock({ inChannels: 2, outChannels: 2 });
  const y = block.forward(x);
  const results = {
    tensor: tensor([1], [1]),
    randn: x,
    run: (await session.run({ input: x })).logits,
    runSync: session.runSync({ input: x }).logits,
    forward: y,
    backward: block.backward(y),
    eval: model.forward(x),
    forwardAsync: await model.forwardAsync(x),
    stateDict: model.stateDict()['linear.weight'],
    parameters: model.parameters()['linear.weight'],
  };
  session.dispose();
  for (const [name, result] of Object.entries(results)) {
    expect([name, result?.data instanceof Float32Array]).toEqual([name, true]);
    expect(result?.data).toEqual(expect.any(Float32Array));
  }
  const out = { data: new Float32Array(x.data.length), dims: x.dims };
  expect(block.eval().forward(x, { out }).data).toBe(out.data);
});

test('other typed arrays, too', async () => {
  const model = createModel('qarepvgg_a0', tiny).eval();
  const images = new Dataset({
    images: new Uint8Array(2 * 17 * 17),
    dims: [17, 17, 2],
    labels: Int32Array.of(0),
    classes: ['a'],
  });
  expect((await evaluate(model, images)).predictions).toBeInstanceOf(Int32Array);
  const { layers } = (await quantize(model.reparameterize(), [randn([1, 2, 17, 17])])).model;
  const [layer] = layers;
  if (layer?.kind !== 'conv' || layer.precision !== 'int8') throw new Error('expected a convolution in integers');
  expect(layer.weight).toBeInstanceOf(Int8Array);
  expect(layer.bias).toBeInstanceOf(Int32Array);
  expect(layer.weightScale).toBeInstanceOf(Float32Array);
});
