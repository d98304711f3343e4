import {
  type ArchitectureName,
  Conv2d,
  InferenceSession,
  type IntegerConv,
  Model,
  QuantizedModel,
  type QuantizeOptions,
  quantize,
  randn,
} from '../../lib';
import { addon } from '../../lib/binding';
import { within } from '../../lib/errors';
import { networkGraph } from '../../lib/model/quantized-graph';
import type { QuantizedLayer } from '../../lib/model/quantized-layers';
import type { QuantizedParts } from '../../lib/model/quantized-model';
import { chainSpec } from '../support/chain-spec';
import { quantizedOp } from '../support/integer';
import { deployNetwork, tiny } from '../support/networks';
import { batches, integerLayers, network } from '../support/quantizing';
import { expectRefusal, expectRejection } from '../support/refusal';

let model: QuantizedModel;

beforeAll(async () => {
  ({ model } = await quantize(network, batches, { keepFloat: ['stage2.0'], quantizeLogits: true }));
});

const partsOf = (from: QuantizedModel): QuantizedParts => {
  const { layers, output, recipe, inChannels, flat, preprocessing, options } = from;
  return { layers, output, recipe, inChannels, flat, preprocessing, network: options };
};

/** The model with another layer in place of the one of that name. */
function changed(name: string, change: object, others: object = {}): QuantizedModel {
  const layers = model.layers.map((layer) =>
    layer.name === name ? ({ ...layer, ...change } as QuantizedLayer) : layer,
  );
  return new QuantizedModel({ ...partsOf(model), layers, ...others });
}

const layerOf = (name: string): IntegerConv => integerLayers(model).find((layer) => layer.name === name) as IntegerConv;

describe('what cannot be computed is refused when the model is made', () => {
  test.each<[string, string, object, string]>([
    ['a scale of zero', 'stage1.0', { input: { scale: 0, zeroPoint: 0 } }, 'layer stage1.0, input, scale'],
    ['a scale that is no number', 'stage1.0', { input: { scale: Number.NaN, zeroPoint: 0 } }, 'received NaN'],
    ['a denormal scale', 'pool', { input: { scale: 2 ** -130, zeroPoint: 0 } }, 'layer pool, input, scale'],
    ['a scale between float32 values', 'stage1.0', { input: { scale: 0.1, zeroPoint: 0 } }, 'a float32 value'],
    ['an infinite scale', 'stage1.0', { input: { scale: 1 / 0, zeroPoint: 0 } }, 'received Infinity'],
    ['a zero point below 0', 'stage1.0', { input: { scale: 1, zeroPoint: -1 } }, 'zero point'],
    ['a zero point above 255', 'stage1.0', { input: { scale: 1, zeroPoint: 256 } }, 'an integer from 0 to 255'],
    ['a zero point between integers', 'pool', { input: { scale: 1, zeroPoint: 0.5 } }, 'layer pool, input, zero point'],
    [
      'a weight less',
      'stage1.0',
      { weight: new Int8Array(143) },
      'stage1.0, weight: expected 144 numbers, received 143',
    ],
    ['a scale of a channel less', 'stage1.0', { weightScale: new Float32Array(3).fill(1) }, 'weightScale: expected 4'],
    ['a bias more', 'stage1.0', { bias: new Int32Array(5) }, 'bias: expected 4'],
    ['a weight less in float', 'stage2.0', { weight: new Float32Array(3) }, 'layer stage2.0, weight'],
    ['a weight scale of zero', 'stage1.0', { weightScale: new Float32Array(4) }, 'weight scale 0: expected'],
    ['a NaN among weight scales', 'stage1.0', { weightScale: Float32Array.of(1, 1, Number.NaN, 1) }, 'weight scale 2'],
    ['a denormal weight scale', 'stage1.0', { weightScale: Float32Array.of(1, 1e-40, 1, 1) }, 'weight scale 1'],
    ['a denormal product', 'stage1.0', { weightScale: new Float32Array(4).fill(2 ** -126) }, 'times input scale'],
    ['a quotient beyond float32', 'stage1.0', { weightScale: new Float32Array(4).fill(3e38) }, 'a finite quotient'],
    ['an average before a layer in float', 'linear', { precision: 'float32', weight: new Float32Array(100) }, 'pool'],
  ])('%s', (_, name, change, message) => {
    const linear = layerOf('linear');
    const inFloat = { weight: new Float32Array(linear.weight.length), bias: new Float32Array(5) };
    const others = name === 'linear' ? { output: undefined } : {};
    const all = name === 'linear' ? { ...change, ...inFloat } : change;
    expectRefusal(() => changed(name, all, others), 'ERR_QUANT_PARAM', message);
  });

  test('rounded logits: their scale, and a last layer in float', async () => {
    expectRefusal(() => changed('', {}, { output: { scale: 0, zeroPoint: 0 } }), 'ERR_QUANT_PARAM', 'output, scale');
    const { model: kept } = await quantize(network, batches, { keepFloat: ['linear'] });
    const parts = { ...partsOf(kept), output: { scale: 1, zeroPoint: 0 } };
    expectRefusal(() => new QuantizedModel(parts), 'ERR_QUANT_PARAM', 'a last layer in integers');
  });

  test('sums that could leave 32 bits: exactly those that a native session refuses', async () => {
    const { weight, bias } = layerOf('stage1.0');
    const first = weight.subarray(0, weight.length / bias.length);
    const side = (sign: number): number => first.reduce((sum, value) => sum + Math.max(0, sign * value), 0);
    const most = 2 ** 31 - 1 - 255 * Math.max(side(1), side(-1));
    const withBias = (value: number) => changed('stage1.0', { bias: bias.map((one, i) => (i === 0 ? value : one)) });
    for (const sign of [1, -1]) {
      (await InferenceSession.create(withBias(sign * most), { inputSize: 17 })).dispose();
      expectRefusal(() => withBias(sign * (most + 1)), 'ERR_QUANT_PARAM', 'layer stage1.0: expected sums below 2^31');
      const good = withBias(sign * most);
      const conv = good.layers[1] as IntegerConv;
      conv.bias[0] = sign * (most + 1);
      await expectRejection(
        InferenceSession.create(good),
        'ERR_QUANT_PARAM',
        'layer stage1.0: expected sums below 2^31',
      );
      const ops = [{ op: 'quantize', input: 0, ...conv.input } as const, quantizedOp(conv)];
      const chain = chainSpec(ops, [conv.tensors[0]?.dims[1] as number, 17, 17]);
      const native = addon.createSession({ ...chain, independent: true, algorithm: 'auto', threads: 0 });
      await expectRejection(native, 'ERR_QUANT_PARAM', 'output channel 0');
    }
    expectRefusal(() => withBias(-(2 ** 31)), 'ERR_QUANT_PARAM', 'output channel 0');
  });

  test('so is a model whose quantisation would give such sums', async () => {
    const deep = new Conv2d({ inChannels: 8000, outChannels: 1, kernelSize: 3 });
    deep.parameters().weight?.data.fill(1);
    await expectRejection(quantize(deep, [randn([1, 8000, 3, 3])]), 'ERR_QUANT_PARAM', 'quantize, layer conv');
    // Deep, but with weights of both signs: each side alone has room.
    deep.parameters().weight?.data.forEach((_, i, data) => {
      data[i] = i % 2 ? 1 : -1;
    });
    await quantize(deep, [randn([1, 8000, 3, 3])]);
  });
});

describe('what is no model is refused', () => {
  const layer = { name: 'a', kind: 'globalAverage', precision: 'float32', attributes: {}, tensors: [] as unknown[] };
  const tensorsOf = (...keys: string[]) => keys.map((key) => ({ key, name: key, dims: [1] }));
  const conv = { ...layer, kind: 'conv', tensors: tensorsOf('weight', 'bias') };
  const keys = ['downWeight', 'downBias', 'upWeight', 'upBias'];
  const excite = { ...layer, kind: 'squeezeExcite', tensors: tensorsOf(...keys) };

  test.each<[unknown, string]>([
    [undefined, 'the parts of a quantised model, received undefined'],
    [5, 'received 5'],
    [{}, 'layers: expected an array of layers'],
    [{ layers: [] }, 'layers'],
    [{ layers: [layer] }, 'recipe: expected an object'],
    [{ layers: [layer], recipe: {} }, 'inChannels: expected an integer from 1 on'],
    [{ layers: [null], recipe: {}, inChannels: 1 }, 'layers[0]: expected a layer, received null'],
    [{ layers: [{}], recipe: {}, inChannels: 1 }, 'layers[0], name'],
    [{ layers: [{ ...layer, kind: 'pool' }], recipe: {}, inChannels: 1 }, 'layers[0], kind'],
    [{ layers: [{ ...layer, precision: 'int4' }], recipe: {}, inChannels: 1 }, 'layers[0], precision'],
    [{ layers: [{ ...layer, precision: 'int8' }], recipe: {}, inChannels: 1 }, 'layers[0], input'],
    [{ layers: [{ ...excite, precision: 'int8' }], recipe: {}, inChannels: 1 }, 'layers[0], precision'],
    [{ layers: [{ ...conv, attributes: 1 }], recipe: {}, inChannels: 1 }, 'layers[0], attributes'],
    [
      { layers: [{ ...conv, tensors: [{ key: 'weight', dims: [1] }] }], recipe: {}, inChannels: 1 },
      'the tensors of a conv',
    ],
    [{ layers: [{ ...excite, tensors: tensorsOf(...keys, 'bias') }], recipe: {}, inChannels: 1 }, 'tensors'],
    [
      {
        layers: [{ ...conv, tensors: [{ ...conv.tensors[0], dims: [0] }, conv.tensors[1]] }],
        recipe: {},
        inChannels: 1,
      },
      'tensors: expected an integer from 1 on',
    ],
    [{ layers: [{ ...conv, tensors: {} }], recipe: {}, inChannels: 1 }, 'layers[0], tensors'],
    [{ layers: [{ ...conv, tensors: [{}] }], recipe: {}, inChannels: 1 }, 'layers[0], tensors'],
    [{ layers: [conv], recipe: {}, inChannels: 1 }, 'layer a, weight: expected values of type Float32Array'],
    [{ layers: [{ ...conv, weight: new Int8Array(1) }], recipe: {}, inChannels: 1 }, 'layer a, weight'],
    [{ layers: [excite], recipe: {}, inChannels: 1 }, 'layer a, downWeight'],
  ])('%j', (parts, message) => {
    expectRefusal(() => new QuantizedModel(parts as never), 'ERR_INVALID_ARG', message);
  });

  test('where nothing says what it is for', () => {
    expectRefusal(
      () => new (QuantizedModel as never as new (parts: unknown) => unknown)({}),
      'ERR_INVALID_ARG',
      'layers: expected an array of layers',
    );
  });
});

test('layers in float between integers: the same bits for any number of threads, in any batch', async () => {
  const { model: kept } = await quantize(network, batches, { keepFloat: ['stage0', 'stage2.0', 'linear'] });
  const x = randn([5, 2, 17, 17], { seed: 8 });
  const expected: number[][] = [];
  for (const threads of [1, 2, 3]) {
    const session = await InferenceSession.create(kept, { threads, inputSize: 17 });
    const all = (await session.run({ input: x })).logits.data;
    const each: number[] = [];
    for (let i = 0; i < 5; i++) {
      const input = { data: x.data.slice(i * 578, (i + 1) * 578), dims: [1, 2, 17, 17] };
      each.push(...(await session.run({ input })).logits.data);
    }
    expected.push([...all], each);
    session.dispose();
  }
  for (const logits of expected) expect(logits).toEqual(expected[0]);
});

test.each<[ArchitectureName, QuantizeOptions]>([
  ['qarepvgg_a0', {}],
  ['qarepvgg_a0', { quantizeLogits: true, scheme: 'symmetric' }],
  ['qarepvgg_a0', { keepFloat: ['stage0', 'stage2.0', 'linear'] }],
  ['qarepvgg_d2se', { keepFloat: ['stage1.0'] }],
])(
  '%s, %j: nodes that serve images of any size compute the bits of nodes that are made for this size',
  async (architecture, options) => {
    const { model: made } = await quantize(deployNetwork(architecture, tiny), batches, options);
    const dims = [3, 2, 17, 17];
    const sessions = [
      await InferenceSession.create(made),
      await InferenceSession.create(new Model(within('test', () => networkGraph(made))), { inputs: { input: dims } }),
    ];
    const [own, graph] = sessions.map((session) => session.runSync({ input: randn(dims, { seed: 8 }) }).logits?.data);
    expect(own).toEqual(graph);
    expect(new Set(own).size).toBeGreaterThan(5);
  },
);

test('layers and what is in them cannot be changed, nor through what the model was made of', async () => {
  const excited = deployNetwork('qarepvgg_d2se', tiny);
  const { model: other } = await quantize(excited, batches, { quantizeLogits: true });
  const isFrozen = (value: unknown): boolean =>
    typeof value !== 'object' ||
    value === null ||
    ArrayBuffer.isView(value) ||
    (Object.isFrozen(value) && Object.values(value).every(isFrozen));
  for (const { layers, output, recipe } of [model, other])
    expect([layers, output, recipe].map(isFrozen)).toEqual([true, true, true]);
  expect(new Set(other.layers.map(({ kind }) => kind)).size).toBe(3);
  expect(() => {
    (layerOf('stage1.0').input as { scale: number }).scale = 0;
  }).toThrow(TypeError);
  expect(() => {
    (model as { output: unknown }).output = undefined;
  }).toThrow(TypeError);
  const mutable = { scale: 1, zeroPoint: 0 };
  const made = changed('stage1.0', { input: mutable });
  mutable.scale = 0;
  expect((made.layers[1] as IntegerConv).input.scale).toBe(1);
});
