import {
  Conv2d,
  createModel,
  InferenceSession,
  type IntegerConv,
  Model,
  type Network,
  QARepVGGBlock,
  type QuantizedModel,
  type QuantizeOptions,
  quantize,
  randn,
  sensitivity,
  type Tensor,
} from '../../lib';
import { within } from '../../lib/errors';
import { assembleGraph } from '../../lib/quant/assemble';
import { calibrate } from '../../lib/quant/attempt';
import { equalize } from '../../lib/quant/equalize';
import { ModuleSubject } from '../../lib/quant/module-subject';
import type { FeedChunk } from '../../lib/quant/observer';
import { readQuantizeOptions } from '../../lib/quant/options';
import { chooseForValues } from '../../lib/quant/parameters';
import { Ratio } from '../../lib/quant/report';
import { bits } from '../support/compare';
import { runIntegers } from '../support/integer';
import { deployNetwork, tiny } from '../support/networks';
import { batches, decibels, fingerprint, images, integerLayers, network, unseen } from '../support/quantizing';
import { expectRefusal, expectRejection } from '../support/refusal';

describe('the quantised model', () => {
  const recipes: readonly (readonly [string, QuantizeOptions, number])[] = [
    ['mse', {}, 32],
    ['minmax', { method: 'minmax' }, 30],
    ['percentile', { method: 'percentile' }, 30],
    ['entropy', { method: 'entropy' }, 20],
    ['logits rounded', { quantizeLogits: true }, 30],
    ["the paper's", { method: 'minmax', scheme: 'symmetric', perChannel: false }, 24],
    ['symmetric, per channel', { scheme: 'symmetric' }, 26],
    ['equalised', { equalize: true }, 30],
    ['biases corrected', { biasCorrection: true }, 30],
    ['everything', { equalize: true, biasCorrection: true, scheme: 'symmetric', quantizeLogits: true }, 24],
    ['six bits', { bits: 6 }, 18],
    ['weights of four bits', { bits: { weights: 4 } }, 8],
    ['activations of four bits', { bits: { activations: 4 } }, 8],
    ['ends in float', { keepFloat: ['stage0', 'linear'] }, 32],
    ['a layer within in float', { keepFloat: ['stage2.0'] }, 32],
  ];

  test.each(recipes)('%s: computes nearly what the float one does', async (_, options, least) => {
    const { model, report } = await quantize(network, batches, options);
    expect(decibels(model, network)).toBeGreaterThan(least);
    // What the report says is simulated, on the calibration images: as good as the integers.
    expect(Math.abs(report.output.sqnr - decibels(model, network, batches))).toBeLessThan(0.2);
  });

  test('has the options, labels and preprocessing of the network', async () => {
    const { model } = await quantize(network, batches, { method: 'entropy', keepFloat: ['linear'] });
    expect(model.options).toBe(network.options);
    expect([model.form, model.labels, model.preprocessing]).toEqual(['int8', undefined, network.options.preprocessing]);
    expect(model.recipe).toEqual({
      method: 'entropy',
      scheme: 'affine',
      perChannel: true,
      weightBits: 8,
      activationBits: 8,
      equalize: false,
      biasCorrection: false,
      images: 15,
    });
    expect(`${model}`).toBe('QuantizedModel(qarepvgg_a0, 2 -> 5, int8 form, 7 of 8 layers)');
    const { layers, parameters, bytes, floatBytes } = model.summary();
    expect(layers).toHaveLength(9);
    expect(parameters).toBe(network.summary().deployParameters);
    expect(floatBytes).toBe(4 * parameters);
    expect(layers.reduce((sum, layer) => sum + layer.bytes, 0)).toBe(bytes);
    expect(bytes).toBeLessThan(0.5 * floatBytes);
  });

  test('weights: the largest of a channel is 127; one scale for all, or one each; fewer bits', async () => {
    for (const [options, levels] of [[{}, 127] as const, [{ bits: { weights: 5 } }, 15] as const]) {
      for (const { weight, bias } of integerLayers((await quantize(network, batches, options)).model)) {
        const size = weight.length / bias.length;
        for (let i = 0; i < bias.length; i++) {
          expect(Math.max(...weight.subarray(i * size, (i + 1) * size).map(Math.abs))).toBe(levels);
        }
      }
    }
    const { model } = await quantize(network, batches, { perChannel: false });
    for (const { weight, weightScale } of integerLayers(model)) {
      expect(new Set(weightScale).size).toBe(1);
      expect(Math.max(...weight.map(Math.abs))).toBe(127);
    }
  });

  test('activations: zero points of the schemes, and of fewer bits', async () => {
    const zeroPoints = async (options: QuantizeOptions): Promise<Set<number>> => {
      const { model } = await quantize(network, batches, options);
      return new Set(model.layers.slice(1).map((layer) => (layer.precision === 'int8' ? layer.input.zeroPoint : -1)));
    };
    expect([...(await zeroPoints({}))]).toEqual([0]);
    expect([...(await zeroPoints({ scheme: 'symmetric' }))]).toEqual([128]);
    expect([...(await zeroPoints({ bits: 5 }))]).toEqual([255 - 31]);
    expect([...(await zeroPoints({ bits: { activations: 5 }, scheme: 'symmetric' }))]).toEqual([255 - 15]);
  });

  test('is that of the weights at the time of the call', async () => {
    const float = deployNetwork('qarepvgg_a0', tiny);
    const expected = fingerprint((await quantize(float, batches, { equalize: true })).model);
    const work = quantize(float, batches, { equalize: true });
    for (const { data } of Object.values(float.parameters())) data.fill(Number.NaN);
    expect(fingerprint((await work).model)).toBe(expected);
  });

  test('of other networks: groups, squeeze-and-excitation', async () => {
    for (const name of ['qarepvgg_b1g4', 'qarepvgg_d2se'] as const) {
      const float = deployNetwork(name, { ...tiny, channels: [4, 4, 8, 8, 16] });
      const { model, report } = await quantize(float, batches, { equalize: true, biasCorrection: true });
      expect(decibels(model, float)).toBeGreaterThan(25);
      expect(report.layers.some(({ kind }) => kind === 'squeezeExcite')).toBe(name === 'qarepvgg_d2se');
    }
  });

  test('of blocks and convolutions, one or a row of them', async () => {
    const block = new QARepVGGBlock({ inChannels: 2, outChannels: 4, seed: 1 }).eval().switchToDeploy();
    const conv = new Conv2d({ inChannels: 4, outChannels: 3, stride: 2, bias: false, seed: 2 });
    const { model } = await quantize([block, conv], [unseen]);
    const expected = conv.forward(block.forward(unseen));
    const received = runIntegers(model, unseen);
    expect(received.dims).toEqual(expected.dims);
    const ratio = new Ratio();
    ratio.add(expected.data, received.data);
    expect(ratio.decibels).toBeGreaterThan(30);
    expect(model.layers.map(({ name }) => name)).toEqual(['0.conv', '1.conv']);
    expectRefusal(() => model.options, 'ERR_MODEL_INCOMPATIBLE', 'a quantised network');
    expect((await quantize(conv, [randn([1, 4, 9, 9])])).model.layers).toHaveLength(1);
    await expectRejection(quantize([conv, block], [unseen]), 'ERR_MODEL_INCOMPATIBLE', '3 channels');
    await expectRejection(quantize([network, conv], [unseen]), 'ERR_MODEL_INCOMPATIBLE', 'model[1]');
    await expectRejection(quantize([], [unseen]), 'ERR_INVALID_ARG', 'at least one module');
  });

  test('of a module twice in a row, whose weights are one tensor, on images of several sizes', async () => {
    const block = new QARepVGGBlock({ inChannels: 4, outChannels: 4, seed: 1 }).eval().switchToDeploy();
    const sizes = [randn([3, 4, 9, 9], { seed: 1 }), randn([2, 4, 12, 7], { seed: 2 })];
    const { model } = await quantize([block, block], sizes, { equalize: true, biasCorrection: true });
    expect(model.layers.map(({ name }) => name)).toEqual(['0.conv', '1.conv']);
    const ratio = new Ratio();
    for (const x of sizes) ratio.add(block.forward(block.forward(x)).data, runIntegers(model, x).data);
    expect(ratio.decibels).toBeGreaterThan(30);
  });
});

describe('models and options that are refused', () => {
  test('what is not in deploy form, with advice', async () => {
    const train = createModel('qarepvgg_a0', tiny).eval();
    await expectRejection(quantize(train, batches), 'ERR_MODEL_INCOMPATIBLE', 'switchToDeploy()');
    const partial = createModel('qarepvgg_a0', tiny).eval().switchToDeploy({ keepPostBn: true });
    await expectRejection(quantize(partial, batches), 'ERR_MODEL_INCOMPATIBLE', 'switchToDeploy()');
    await expectRejection(quantize({} as never, batches), 'ERR_INVALID_ARG', 'a module made by its constructor');
    const { model } = await quantize(network, batches);
    await expectRejection(quantize(model as never, batches), 'ERR_INVALID_ARG', 'a module made by its constructor');
  });

  test.each<[unknown, string]>([
    [{ method: 'max' }, 'option method'],
    [{ scheme: 'power' }, 'option scheme'],
    [{ percentile: 101 }, 'option percentile'],
    [{ bits: 3 }, 'option bits'],
    [{ bits: 9 }, 'option bits'],
    [{ bits: { weights: 2 } }, 'option weights'],
    [{ bits: { other: 8 } }, 'option bits'],
    [{ bits: null }, 'option bits'],
    [{ keepFloat: 'linear' }, 'option keepFloat'],
    [{ keepFloat: ['pool'] }, 'names among stage0, stage1.0'],
    [{ keepFloat: [3] }, 'option keepFloat'],
    [{ threads: 0 }, 'option threads'],
    [{ onProgress: 1 }, 'option onProgress'],
    [{ signal: {} }, 'option signal'],
    [{ calibrator: 'x' }, 'options'],
    [null, 'options'],
  ])('%j', async (options, message) => {
    await expectRejection(quantize(network, batches, options as never), 'ERR_INVALID_ARG', message);
  });

  test('weights that are not finite, by name', async () => {
    const broken = deployNetwork('qarepvgg_a0', tiny);
    broken.parameters()['stage2.0.rbr_reparam.weight']?.data.fill(Number.NaN, 5, 6);
    await expectRejection(quantize(broken, batches), 'ERR_NON_FINITE', 'stage2.0.rbr_reparam.weight');
  });
});

describe('odd weights', () => {
  async function withWeights(
    change: (name: string, data: Float32Array) => void,
    options: QuantizeOptions = {},
  ): Promise<[QuantizedModel, Network]> {
    const float = deployNetwork('qarepvgg_a0', tiny);
    for (const [name, { data }] of Object.entries(float.parameters())) change(name, data);
    return [(await quantize(float, batches, options)).model, float];
  }

  test.each<QuantizeOptions>([
    { equalize: true, biasCorrection: true },
    { method: 'entropy', perChannel: false, equalize: true },
    { scheme: 'symmetric', method: 'percentile', biasCorrection: true },
  ])('channels of zeros, and a layer, in every recipe: %j', async (options) => {
    const [one, float] = await withWeights((name, data) => {
      if (name === 'stage1.0.rbr_reparam.weight') data.fill(0, 0, 36);
      if (name === 'stage1.0.rbr_reparam.bias') data[0] = 0;
    }, options);
    expect(decibels(one, float)).toBeGreaterThan(15);
    const [all] = await withWeights((name, data) => {
      if (name.startsWith('stage1.0.')) data.fill(0);
    }, options);
    expect(runIntegers(all, unseen).data.every(Number.isFinite)).toBe(true);
  });

  test('a channel of zeros keeps its bias', async () => {
    const [model, float] = await withWeights((name, data) => {
      if (name === 'stage1.0.rbr_reparam.weight') data.fill(0, 0, 36);
      if (name === 'stage1.0.rbr_reparam.bias') data[0] = 1.2345;
    });
    const layer = integerLayers(model).find(({ name }) => name === 'stage1.0') as IntegerConv;
    expect(layer.weight.subarray(0, 36).every((value) => value === 0)).toBe(true);
    const bias = (layer.bias[0] as number) * layer.input.scale * (layer.weightScale[0] as number);
    expect(bias).toBeCloseTo(1.2345, 5);
    expect(decibels(model, float)).toBeGreaterThan(25);
  });

  test('a layer of zeros, biases too', async () => {
    const [model] = await withWeights((name, data) => {
      if (name.startsWith('stage1.0.')) data.fill(0);
    });
    expect(runIntegers(model, unseen).data.every(Number.isFinite)).toBe(true);
    expect(integerLayers(model).find(({ name }) => name === 'stage1.0')?.weightScale).toEqual(
      new Float32Array(4).fill(1),
    );
  });

  test('weights far smaller than their biases: the biases fit into 32 bits', async () => {
    const [model, float] = await withWeights((name, data) => {
      if (name === 'stage1.0.rbr_reparam.weight') data.fill(1e-12, 0, 36);
    });
    const layer = integerLayers(model).find(({ name }) => name === 'stage1.0') as IntegerConv;
    expect(Math.abs(layer.bias[0] as number)).toBeLessThanOrEqual(2 ** 28 * 1.000001);
    expect(decibels(model, float)).toBeGreaterThan(25);
  });

  test('scales whose product leaves the floats', async () => {
    const float = new Conv2d({ inChannels: 2, outChannels: 2 });
    float.parameters().weight?.data.fill(1e-2);
    const huge = { data: new Float32Array(18).fill(3e38), dims: [1, 2, 3, 3] };
    expect((await quantize(float, [huge])).model.layers).toHaveLength(1);
    float.parameters().weight?.data.fill(0);
    float.parameters().bias?.data.fill(0);
    expect((await quantize(float, [huge])).model.layers).toHaveLength(1);
  });
});

test('the event loop runs between the ranges of values, the weights of layers, and pairs that are equalised', async () => {
  const turns = async (work: Promise<unknown>): Promise<number> => {
    let count = 0;
    let isUnderWay = true;
    const turn = (): void => {
      count++;
      if (isUnderWay) setImmediate(turn);
    };
    setImmediate(turn);
    await work;
    isUnderWay = false;
    return count;
  };
  const options = within('test', () => readQuantizeOptions({}));
  const { plan, statistics } = await within('test', () => calibrate(new ModuleSubject(network, []), batches, options));
  const choosing = within('test', () => chooseForValues(plan, statistics.histograms, options));
  expect(await turns(choosing)).toBeGreaterThanOrEqual(8);
  const assembling = within('test', async () => assembleGraph(plan, await choosing, options));
  expect(await turns(assembling)).toBeGreaterThanOrEqual(7);
  const [first] = statistics.sample as [FeedChunk];
  const noImages = { first, chunks: [] as never };
  expect(await turns(within('test', () => equalize(plan.float, noImages, options)))).toBeGreaterThanOrEqual(6);
});

describe('equalisation', () => {
  test('changes no bit of what the network computes, but almost every layer of it', async () => {
    const float = deployNetwork('qarepvgg_b1g4', { ...tiny, channels: [4, 4, 8, 8, 16] });
    const options = within('test', () => readQuantizeOptions({}));
    const { plan, statistics } = await within('test', () => calibrate(new ModuleSubject(float, []), batches, options));
    const [first] = statistics.sample as [FeedChunk];
    const images = { first, chunks: statistics.sample as never };
    const { graph } = await within('test', () => equalize(plan.float, images, options));
    const [before, after] = await Promise.all([plan.float.graph, graph].map((one) => run(new Model(one))));
    expect(bits(after as Tensor)).toBe(bits(before as Tensor));
    const changed = [...graph.tensors].filter(([name, { data }]) => data !== plan.float.graph.tensors.get(name)?.data);
    expect(changed.length).toBeGreaterThan(8);
  });

  async function run(model: Model): Promise<Tensor> {
    const session = await InferenceSession.create(model, { inputs: { input: unseen.dims } });
    const { logits } = await session.run({ input: unseen });
    session.dispose();
    return logits as Tensor;
  }

  test('makes up for a channel that is far larger than the others', async () => {
    const uneven = deployNetwork('qarepvgg_a0', tiny);
    // Of two layers, whose names are those of all networks here: channel 1 is scaled up in one, and down in the next.
    const scale = (name: string, indices: (index: number) => boolean, factor: number): void => {
      const data = uneven.parameters()[name]?.data as Float32Array;
      data.set(data.map((value, i) => (indices(i) ? value * factor : value)));
    };
    scale('stage1.0.rbr_reparam.weight', (i) => Math.floor(i / 36) === 1, 64);
    scale('stage1.0.rbr_reparam.bias', (i) => i === 1, 64);
    scale('stage1.1.rbr_reparam.weight', (i) => Math.floor(i / 9) % 4 === 1, 1 / 64);
    expect(bits(uneven.forward(unseen))).toBe(bits(network.forward(unseen)));
    const options = { perChannel: false, scheme: 'symmetric' } as const;
    const plain = decibels((await quantize(uneven, batches, options)).model, uneven);
    const equalized = decibels((await quantize(uneven, batches, { ...options, equalize: true })).model, uneven);
    expect(equalized).toBeGreaterThan(plain + 6);
  });
});

test('bias correction: the mean of each logit is that of the float network', async () => {
  const many = [images(1, 64)];
  const errors = async (options: QuantizeOptions): Promise<number> => {
    const { model } = await quantize(network, many, { bits: { weights: 4 }, ...options });
    const [exact, received] = [network.forward(many[0] as Tensor).data, runIntegers(model, many[0] as Tensor).data];
    const sums = new Float64Array(5);
    exact.forEach((value, i) => {
      (sums[i % 5] as number) += (value - (received[i] as number)) / 64;
    });
    return Math.max(...sums.map(Math.abs));
  };
  const [plain, corrected] = [await errors({}), await errors({ biasCorrection: true })];
  // A layer that did not make up for the errors of those before it would leave a tenth.
  expect(corrected).toBeLessThan(plain / 20);
});

test('the report: every layer, in plain data', async () => {
  const { report } = await quantize(network, batches, {
    keepFloat: ['stage2.0'],
    quantizeLogits: true,
    method: 'percentile',
    percentile: 99,
  });
  expect(report.layers.map(({ name }) => name)).toEqual([
    ...['stage0', 'stage1.0', 'stage1.1', 'stage2.0', 'stage3.0', 'stage3.1', 'stage4.0', 'pool', 'linear'],
  ]);
  for (const {
    name,
    precision,
    scale,
    zeroPoint,
    min,
    max,
    saturation,
    activations,
    weights,
    sqnr,
    kind,
  } of report.layers) {
    expect(min).toBeLessThanOrEqual(max);
    expect(activations.counts).toHaveLength(64);
    expect(activations.counts.every((count) => count >= 0)).toBe(true);
    expect(sqnr).toBeGreaterThan(10);
    if (precision === 'float32') {
      expect([scale, zeroPoint, saturation, weights?.scales, weights?.sqnr]).toEqual([
        undefined,
        undefined,
        0,
        undefined,
        1 / 0,
      ]);
    } else {
      expect(scale).toBeGreaterThan(0);
      // Images keep their whole range.
      if (name === 'stage0') expect(saturation).toBe(0);
      else expect(saturation).toBeGreaterThan(0.002);
      expect(saturation).toBeLessThan(0.02);
      if (kind === 'conv') expect(weights?.sqnr).toBeGreaterThan(30);
    }
    expect(weights === undefined).toBe(kind !== 'conv');
  }
  const total = report.layers[1]?.activations.counts.reduce((sum, count) => sum + count, 0);
  expect(total).toBe(15 * 4 * 9 * 9);
  expect(report.output.scale).toBeGreaterThan(0);
  expect(report.bytes / report.floatBytes).toBeLessThan(0.6);
  const copy = JSON.parse(JSON.stringify(report)) as typeof report;
  expect(copy.layers[0]).toEqual(report.layers[0]);
});

describe('sensitivity', () => {
  test('judges models in which one layer is quantised, the worst first', async () => {
    const uneven = deployNetwork('qarepvgg_a0', tiny);
    // One weight far larger than all others of its layer: with one scale for all, the others vanish.
    const weight = uneven.parameters()['stage3.0.rbr_reparam.weight'];
    if (weight) weight.data[0] = 300;
    const seen: string[] = [];
    const layers = await sensitivity(
      uneven,
      batches,
      async (model) => {
        const [layer] = integerLayers(model);
        seen.push(layer?.name as string);
        expect(integerLayers(model)).toHaveLength(1);
        return decibels(model, uneven);
      },
      { perChannel: false },
    );
    expect(seen).toEqual(['stage0', 'stage1.0', 'stage1.1', 'stage2.0', 'stage3.0', 'stage3.1', 'stage4.0', 'linear']);
    expect(layers.map(({ score }) => score)).toEqual(layers.map(({ score }) => score).sort((a, b) => a - b));
    expect(layers[0]?.name).toBe('stage3.0');
  });

  test('leaves out what stays in float, and rounds logits where their layer is quantised', async () => {
    const kept = ['stage0', 'stage2.0', 'stage3.1'];
    const seen: (readonly [string | undefined, boolean])[] = [];
    const judge = (model: QuantizedModel) => {
      seen.push([integerLayers(model)[0]?.name, model.output !== undefined]);
      return seen.length;
    };
    const layers = await sensitivity(network, batches, judge, { keepFloat: kept, quantizeLogits: true });
    const judged = ['stage1.0', 'stage1.1', 'stage3.0', 'stage4.0', 'linear'];
    expect(seen).toEqual(judged.map((name) => [name, name === 'linear']));
    expect(layers.map(({ name }) => name)).toEqual(judged);
    const options = { biasCorrection: true } as never;
    await expectRejection(
      sensitivity(network, batches, () => 1, options),
      'ERR_INVALID_ARG',
      '"biasCorrection"',
    );
    const odd = sensitivity(network, batches, () => 1, { keepFloat: ['pool'] });
    await expectRejection(odd, 'ERR_INVALID_ARG', 'names among stage0');
  });

  test('refuses what it cannot work with', async () => {
    await expectRejection(sensitivity(network, batches, 5 as never), 'ERR_INVALID_ARG', 'evaluate');
    await expectRejection(
      sensitivity(network, batches, () => Number.NaN),
      'ERR_INVALID_ARG',
      'score of stage0',
    );
    const failure = new Error('no');
    await expect(sensitivity(network, batches, () => Promise.reject(failure))).rejects.toBe(failure);
  });
});
