import {
  type ArchitectureName,
  createModel,
  type NetworkOptions,
  QARepVGGBlock,
  randn,
  verifyEquivalence,
} from '../../lib';
import { within } from '../../lib/errors';
import { architectureNames, architectureOf, groupsOf } from '../../lib/nn/networks/architectures';
import { NetworkBlueprint } from '../../lib/nn/networks/network-blueprint';
import { checkNetworkOptions } from '../../lib/nn/networks/network-options';
import { summarise } from '../../lib/nn/networks/summary';
import { bits } from '../support/compare';
import { randomNetwork, tiny } from '../support/networks';
import { expectRefusal } from '../support/refusal';

const x = randn([2, 2, 17, 17], { seed: 1 });

/** Sizes without making the network. */
function sizes(name: ArchitectureName, options: NetworkOptions = {}) {
  return summarise(new NetworkBlueprint(within('test', () => checkNetworkOptions(name, options))));
}

describe('published sizes', () => {
  // Name, deploy parameters, 10^9 multiplications in deploy form at 224 x 224, parameters of QARepVGG and of RepVGG.
  test.each([
    ['a0', 8_309_384, 1.361, 9_103_304, 9_108_968],
    ['a1', 12_789_864, 2.364, 14_084_712, 14_092_264],
    ['a2', 25_499_944, 5.117, 28_199_272, 28_210_600],
    ['b0', 14_339_048, 3.058, 15_808_616, 15_817_960],
    ['b1', 51_829_480, 11.815, 57_396_328, 57_415_016],
    ['b1g2', 41_360_104, 8.81, 45_763_688, 45_782_376],
    ['b1g4', 36_125_416, 7.307, 39_947_368, 39_966_056],
    ['b2', 80_315_112, 18.377, 88_999_016, 89_022_376],
    ['b2g2', 63_956_712, 13.68, 70_823_016, 70_846_376],
    ['b2g4', 55_777_512, 11.332, 61_735_016, 61_758_376],
    ['b3', 110_960_872, 26.209, 123_057_256, 123_085_288],
    ['b3g2', 87_404_776, 19.446, 96_883_816, 96_911_848],
    ['b3g4', 75_626_728, 16.064, 83_797_096, 83_825_128],
    ['d2se', 120_387_572, 32.827, 133_294_836, 133_334_836],
  ] as const)('%s', (size, deploy, macs, qarepvgg, repvgg) => {
    const [own, other] = [sizes(`qarepvgg_${size}`), sizes(`repvgg_${size}`)];
    expect(own).toMatchObject({ parameters: qarepvgg, deployParameters: deploy });
    expect(other).toMatchObject({ parameters: repvgg, deployParameters: deploy });
    expect([own, other].map(({ deployMacs }) => Math.round(deployMacs / 1e6) / 1e3)).toEqual([macs, macs]);
    expect(other.macs).toBe(own.macs);
  });

  test('of images that are not square', () => {
    const { layers, macs, deployMacs } = sizes('qarepvgg_a0', { inputSize: [96, 224] });
    expect([layers[0]?.output, layers[21]?.output]).toEqual([
      [48, 48, 112],
      [1280, 3, 7],
    ]);
    const square = sizes('qarepvgg_a0');
    const linear = 1_280_000;
    expect([macs - linear, deployMacs - linear]).toEqual(
      [square.macs - linear, square.deployMacs - linear].map((count) => (count * 96) / 224),
    );
  });

  test('all names are in the table above, and A0 in train form multiplies 1/9 more', () => {
    expect(architectureNames).toHaveLength(28);
    expect(Math.round(sizes('qarepvgg_a0').macs / 1e6)).toBe(1513);
    expect(Math.round(sizes('qarepvgg_d2se', { inputSize: 320 }).deployMacs / 1e7)).toBe(6699);
  });

  test('layers', () => {
    const { layers, ...total } = sizes('qarepvgg_b1g4');
    expect(layers).toHaveLength(29);
    expect(layers[0]).toMatchObject({ name: 'stage0', output: [64, 112, 112], stride: 2, groups: 1 });
    expect(layers[2]).toMatchObject({ name: 'stage1.1', output: [128, 56, 56], stride: 1, groups: 4 });
    expect(layers[26]).toMatchObject({ name: 'stage3.15', output: [512, 14, 14], groups: 4 });
    expect(layers[27]).toMatchObject({ name: 'stage4.0', output: [2048, 7, 7], groups: 1 });
    const linear = 2048 * 1000;
    const sums = { parameters: linear + 1000, deployParameters: linear + 1000, macs: linear, deployMacs: linear };
    expect(layers[28]).toEqual({ name: 'linear', output: [1000], stride: 1, groups: 1, ...sums });
    for (const key of ['parameters', 'deployParameters', 'macs', 'deployMacs'] as const) {
      expect(layers.reduce((sum, layer) => sum + layer[key], 0)).toBe(total[key]);
    }
  });

  test('the last block is never grouped, nor the stem', () => {
    const grouped = Array.from({ length: 28 }, (_, i) => groupsOf(architectureOf('repvgg_b1g2'), i));
    expect(grouped.flatMap((groups, i) => (groups === 2 ? [i] : []))).toEqual([
      2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26,
    ]);
  });
});

describe('a network', () => {
  test('is its blocks one after the other, then the mean of all pixels, then a linear layer', () => {
    const model = randomNetwork('qarepvgg_a0');
    const state = model.stateDict();
    let value = x;
    let width = 2;
    for (const { name, output, stride } of model.summary().layers.slice(0, -1)) {
      const block = new QARepVGGBlock({
        inChannels: width,
        outChannels: output[0] as number,
        stride: stride as 1 | 2,
      }).eval();
      const own = Object.entries(state).filter(([key]) => key.startsWith(`${name}.`));
      block.loadStateDict(Object.fromEntries(own.map(([key, tensor]) => [key.slice(name.length + 1), tensor])));
      value = block.forward(value);
      width = output[0] as number;
      expect(value.dims).toEqual([2, ...output]);
    }
    const [weight, bias] = [state['linear.weight'], state['linear.bias']];
    expect(weight?.dims).toEqual([5, 16]);
    const logits = model.forward(x);
    expect(logits.dims).toEqual([2, 5]);
    logits.data.forEach((logit, i) => {
      const [image, label] = [Math.floor(i / 5), i % 5];
      let expected = bias?.data[label] as number;
      for (let c = 0; c < 16; c++)
        expected += (value.data[image * 16 + c] as number) * (weight?.data[label * 16 + c] as number);
      expect(logit).toBeCloseTo(expected, 5);
    });
    expect(value.dims).toEqual([2, 16, 1, 1]);
  });

  test.each([
    ['qarepvgg_a0', {}],
    ['repvgg_a0', {}],
    ['repvgg_a0', { variant: 'S0', strides: [1, 2, 1, 2, 1] }],
    ['qarepvgg_b1g2', { variant: 'S2' }],
    ['qarepvgg_b1g4', { variant: 'S3', pointwiseBias: true, alpha: true }],
    ['qarepvgg_a1', { averageBranch: true, eps: 1e-3, pointwiseBias: true }],
  ] as const)('%s %j: all forms compute the same', async (name, more) => {
    const options = { ...tiny, ...more };
    const [model, other] = [randomNetwork(name, options), randomNetwork(name, options)];
    const logits = bits(model.forward(x));
    const deploy = model.reparameterize();
    expect([model.form, deploy.form, deploy.training]).toEqual(['train', 'deploy', false]);
    expect(bits(model.forward(x))).toBe(logits);
    expect(bits(await model.forwardAsync(x))).toBe(logits);

    const report = verifyEquivalence(model, deploy);
    expect(report.whole.relativeL2).toBeLessThan(1e-5);
    expect(report.whole.relativeL2).toBeGreaterThan(0);
    expect(report.blocks.map((block) => block.name)).toEqual(model.summary().layers.map((layer) => layer.name));
    for (const { relativeL2 } of report.blocks) expect(relativeL2).toBeLessThan(1e-6);

    if (model.options.variant === 'S4') {
      expect(other.switchToDeploy({ keepPostBn: true }).form).toBe('partial');
      expect(verifyEquivalence(model, other).whole.relativeL2).toBeLessThan(1e-5);
      expect(verifyEquivalence(model, other.reparameterize()).whole.relativeL2).toBeLessThan(1e-5);
    }
    expect(other.switchToDeploy().switchToDeploy().form).toBe('deploy');
    expect(verifyEquivalence(model, other).whole.relativeL2).toBeLessThan(1e-5);
    expect(model.summary()).toEqual(deploy.summary());
  });

  test('fused twice is fused once', () => {
    const deploy = randomNetwork('qarepvgg_a0').reparameterize();
    expect(deploy.reparameterize().stateDict()).toEqual(deploy.stateDict());
    expect(deploy.switchToDeploy().reparameterize().stateDict()).toEqual(deploy.stateDict());
    expectRefusal(() => deploy.switchToDeploy({ keepPostBn: true }), 'ERR_INVALID_STATE', 'one in deploy form');
  });

  test.each(['stage3.1.rbr_dense.conv.weight', 'stage2.0.se.up.weight', 'stage2.0.se.up.bias', 'linear.weight'])(
    'a tensor that is not finite is named, and nothing changes: %s',
    (name) => {
      const model = randomNetwork('qarepvgg_d2se');
      model.parameters()[name]?.data.fill(Number.NaN, 7, 8);
      expectRefusal(() => model.reparameterize(), 'ERR_NON_FINITE', `others in ${name}`);
      expectRefusal(() => model.switchToDeploy(), 'ERR_NON_FINITE', `others in ${name}`);
      expectRefusal(() => model.switchToDeploy({ keepPostBn: true }), 'ERR_NON_FINITE', `others in ${name}`);
      expect(model.form).toBe('train');
    },
  );

  test('a fault is found in the block that has it', () => {
    const model = randomNetwork('qarepvgg_a0');
    const deploy = model.reparameterize();
    deploy.parameters()['stage3.0.rbr_reparam.bias']?.data.fill(9);
    const wrong = verifyEquivalence(model, deploy).blocks.filter(({ relativeL2 }) => relativeL2 > 1e-5);
    expect(wrong.map(({ name }) => name)).toEqual(['stage3.0']);
  });

  test('learns: gradients reach every parameter, and a step downhill lowers the loss', () => {
    const model = createModel('qarepvgg_a0', { ...tiny, seed: 3 });
    const gradient = randn([2, 5], { seed: 4 });
    const loss = () => model.forward(x).data.reduce((sum, logit, i) => sum + logit * (gradient.data[i] as number), 0);
    const before = loss();
    expect(model.backward(gradient).dims).toEqual(x.dims);
    const parameters = Object.entries(model.parameters());
    const still = parameters.filter(([, { grad }]) => grad.every((value) => value === 0)).map(([name]) => name);
    expect(still).toEqual([]);
    for (const [, { data, grad }] of parameters)
      for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) - 1e-3 * (grad[i] as number);
    expect(loss()).toBeLessThan(before);
    model.forward(x);
    expectRefusal(() => model.backward(randn([2, 5, 1, 1])), 'ERR_SHAPE', 'expected [2, 5]');
  });

  test('depends on its seed', () => {
    const state = (seed: number) => bits(...Object.values(createModel('qarepvgg_a0', { ...tiny, seed }).stateDict()));
    expect(state(1)).toBe(state(1));
    expect(state(1)).not.toBe(state(2));
  });

  test('says what it is', () => {
    expect(`${createModel('qarepvgg_b0', tiny)}`).toBe('Network(qarepvgg_b0, 2 -> 5, S4, train form)');
  });

  test('options are complete and make another one', () => {
    const labels = ['a', 'b', 'c', 'd', 'e'];
    const { options } = createModel('qarepvgg_a0', { ...tiny, labels });
    const { architecture, ...rest } = options;
    expect(rest).toMatchObject({ ...tiny, labels, strides: [2, 2, 2, 2, 2], variant: 'S4', eps: 1e-5, momentum: 0.1 });
    expect(rest.preprocessing).toEqual({ mean: [0.5, 0.5], std: [0.5, 0.5] });
    expect(createModel(architecture, rest).options).toEqual(options);
    expect(createModel('qarepvgg_a0', { ...tiny, inChannels: 3 }).options.preprocessing.mean).toEqual([
      0.485, 0.456, 0.406,
    ]);
  });
});

describe('bad options', () => {
  test.each([
    [{ numClasses: 0 }, 'option numClasses'],
    [{ inputSize: 4097 }, 'option inputSize: expected a side from 1 to 4096, or [height, width], received 4097'],
    [{ inputSize: [4097, 1] }, 'option inputSize'],
    [{ inputSize: [64] }, 'option inputSize'],
    [{ inputSize: [64, 64, 3] }, 'option inputSize'],
    [{ inputSize: '64' }, 'option inputSize'],
    [{ inputSize: null }, 'option inputSize'],
    [{ blocks: [1, 1, 1] }, 'option blocks: expected an array of 4 numbers, received [1, 1, 1]'],
    [{ blocks: [1, 0, 1, 1] }, 'option blocks[1]'],
    [{ blocks: 5 }, 'option blocks'],
    [{ channels: [4, 4, 8, 12, undefined] }, 'option channels[4]'],
    [{ channels: [4, 4, 8, 12.5, 16] }, 'option channels[3]'],
    [{ strides: [2, 2, 2, 2, 3] }, 'option strides[4]'],
    [{ variant: 'S5' }, 'option variant'],
    [{ labels: ['a'] }, 'option labels: expected 5 names'],
    [{ labels: 'abcde' }, 'option labels'],
    [{ preprocessing: { mean: [0, 0], std: [1, 0] } }, 'option preprocessing'],
    [{ preprocessing: { mean: [0], std: [1] } }, 'option preprocessing'],
    [{ preprocessing: { mean: [0, 0], std: [1, 1e-42] } }, 'float32'],
    [{ preprocessing: { mean: [0, 1e308], std: [1, 1] } }, 'float32'],
    [{ preprocessing: 3 }, 'option preprocessing'],
    [{ preprocessing: null }, 'option preprocessing'],
    [{ classes: 5 }, 'received "classes"'],
  ])('%j', (bad, message) => {
    const options = { ...tiny, ...bad } as NetworkOptions;
    expectRefusal(() => createModel('qarepvgg_a0', options), 'ERR_INVALID_ARG', message);
  });

  test('names, and what fits some names only', () => {
    for (const name of ['a0', 'QARepVGG_A0', 'qarepvgg_c0', '__proto__', null]) {
      expectRefusal(() => createModel(name as ArchitectureName), 'ERR_INVALID_ARG', 'qarepvgg_a0, qarepvgg_a1');
    }
    expectRefusal(() => createModel('repvgg_a0', { ...tiny, variant: 'S4' }), 'ERR_INVALID_ARG', 'option variant');
    const channels = [6, 8, 8, 10, 16];
    expectRefusal(() => createModel('qarepvgg_b1g4', { ...tiny, channels }), 'ERR_INVALID_ARG', 'multiples of 4');
  });

  test('blocks are no networks', () => {
    const block = new QARepVGGBlock({ inChannels: 3, outChannels: 3 });
    const { summary } = createModel('qarepvgg_a0', tiny);
    expectRefusal(() => summary.call(block as never), 'ERR_INVALID_ARG', 'a network made by createModel');
  });
});
