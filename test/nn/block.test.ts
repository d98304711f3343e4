import { Conv2d, QARepVGGBlock, RepVGGBlock, randn, tensor, verifyEquivalence } from '../../lib';
import { randomBlock } from '../support/blocks';
import { bits } from '../support/compare';
import { expectRefusal, expectRejection } from '../support/refusal';

const options = { inChannels: 6, outChannels: 6 };
const spread = { minVariance: 0.5, maxVariance: 2 };
const x = randn([2, 6, 7, 5], { seed: 1 });
const ones = tensor(new Float32Array(x.data.length).fill(1), x.dims);

describe('forms', () => {
  test('each equals the one before, and repeating a switch changes nothing', () => {
    const block = randomBlock(options, 2, spread);
    const expected = randomBlock(options, 2, spread);
    expect(block.form).toBe('train');
    for (const [form, keepPostBn] of [
      ['partial', true],
      ['partial', true],
      ['deploy', false],
      ['deploy', false],
    ] as const) {
      expect(block.switchToDeploy({ keepPostBn }).form).toBe(form);
      expect(verifyEquivalence(expected, block).whole.relativeL2).toBeLessThan(1e-6);
    }
  });

  test('training mode is refused', () => {
    const block = new QARepVGGBlock(options);
    expectRefusal(() => block.switchToDeploy(), 'ERR_INVALID_STATE', 'call eval() first');
    expect(block.form).toBe('train');
  });

  test('a folded batch norm does not come back', () => {
    const block = new QARepVGGBlock(options).eval().switchToDeploy();
    expectRefusal(() => block.switchToDeploy({ keepPostBn: true }), 'ERR_INVALID_STATE', 'one in deploy form');
  });

  test('a variant without the batch norm cannot keep it', () => {
    const block = new RepVGGBlock(options).eval();
    expectRefusal(() => block.switchToDeploy({ keepPostBn: true }), 'ERR_INVALID_ARG', 'option keepPostBn');
    expect(block.form).toBe('train');
  });

  test('the partial form can be trained', () => {
    const block = new QARepVGGBlock(options).eval().switchToDeploy({ keepPostBn: true }).train();
    block.forward(x);
    block.backward(ones);
    expect(block.parameters()['rbr_reparam.weight']?.grad.some((value) => value !== 0)).toBe(true);
    expect(block.stateDict()['bn.num_batches_tracked']?.data).toEqual(new Float32Array([1]));
  });

  test('reparameterize leaves the block as it is and takes its activation along', () => {
    const block = randomBlock({ ...options, activation: 'relu' }, 5, spread);
    const before = bits(...Object.values(block.stateDict()), block.forward(x));
    const conv = block.reparameterize();
    expect(bits(...Object.values(block.stateDict()), block.forward(x))).toBe(before);
    expect(block.form).toBe('train');
    expect(conv).toBeInstanceOf(Conv2d);
    expect(verifyEquivalence(block, conv).whole.relativeL2).toBeLessThan(1e-6);
    expect(conv.forward(x).data.every((value) => value >= 0)).toBe(true);
  });

  test.each([
    ['bn.running_var', -1],
    ['bn.running_var', Number.NaN],
    ['rbr_dense.conv.weight', Number.POSITIVE_INFINITY],
    ['rbr_1x1.weight', Number.NaN],
  ])('fusing %s with %p is refused and names it', (name, value) => {
    const block = new QARepVGGBlock(options).eval();
    const state = block.stateDict();
    state[name]?.data.fill(value, 2, 3);
    block.loadStateDict(state);
    expectRefusal(() => block.reparameterize(), 'ERR_NON_FINITE', name);
    expectRefusal(() => block.switchToDeploy(), 'ERR_NON_FINITE', name);
    expect(block.form).toBe('train');
  });

  test('a module says what it is', () => {
    const block = new QARepVGGBlock({ ...options, stride: 2 }).eval().switchToDeploy();
    expect(`${block}`).toBe('QARepVGGBlock(6 -> 6, stride 2, S4, deploy form)');
    expect(`${new Conv2d(options)}`).toBe('Conv2d(6 -> 6, kernel 3, stride 1)');
  });
});

describe('modes', () => {
  test('training moves running statistics, eval and gradients do not', () => {
    const block = new QARepVGGBlock(options);
    const statistics = () => bits(...Object.values(block.stateDict()));
    const fresh = statistics();
    block.eval().forward(x);
    block.forward(x, { grad: true });
    expect(statistics()).toBe(fresh);
    block.train().forward(x, { grad: false });
    expect(statistics()).not.toBe(fresh);
    expect(block.stateDict()['bn.num_batches_tracked']?.data).toEqual(new Float32Array([1]));
  });

  test('grad does not change the output', () => {
    const [a, b] = [randomBlock(options, 6, spread), randomBlock(options, 6, spread)];
    expect(bits(a.forward(x, { grad: true }))).toBe(bits(b.forward(x)));
    expect(bits(a.train().forward(x, { grad: false }))).toBe(bits(b.train().forward(x)));
  });

  test('one value per channel is refused in training, as its variance is 0, but not in eval', () => {
    const block = new QARepVGGBlock({ ...options, stride: 2 });
    const pixel = randn([1, 6, 2, 2]);
    const fresh = bits(...Object.values(block.stateDict()));
    expectRefusal(
      () => block.forward(pixel),
      'ERR_SHAPE',
      "forward: node 'rbr_dense.bn' (batchNorm): expected more than one",
    );
    expect(bits(...Object.values(block.stateDict()))).toBe(fresh);
    expect(block.eval().forward(pixel).dims).toEqual([1, 6, 1, 1]);
  });

  test('forwardAsync resolves to what forward returns, in eval mode only', async () => {
    const block = randomBlock(options, 7, spread);
    expect(bits(await block.forwardAsync(x))).toBe(bits(block.forward(x)));
    block.train();
    await expectRejection(block.forwardAsync(x), 'ERR_INVALID_STATE', 'call eval() first');
  });

  test("dims of outputs are the caller's own", () => {
    const block = randomBlock(options, 8, spread);
    block.forward(x).dims[0] = 99;
    expect(block.forward(x).dims).toEqual([2, 6, 7, 5]);
  });

  test('many input sizes in turn', () => {
    const block = randomBlock(options, 9, spread);
    const inputs = Array.from({ length: 9 }, (_, i) => randn([1 + (i % 2), 6, 1 + i, 9 - i], { seed: i }));
    const first = inputs.map((input) => bits(block.forward(input)));
    expect(inputs.map((input) => bits(block.forward(input)))).toEqual(first);
    const alone = inputs.map((input) => bits(randomBlock(options, 9, spread).forward(input)));
    expect(first).toEqual(alone);
  });
});
