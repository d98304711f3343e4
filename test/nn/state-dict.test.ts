import { Conv2d, QARepVGGBlock, RepVGGBlock, randn, type StateDict, tensor } from '../../lib';
import { mapState, randomBlock } from '../support/blocks';
import { bits } from '../support/compare';
import { detached, hostileData, hostileDims } from '../support/hostile';
import { expectRefusal } from '../support/refusal';

const options = { inChannels: 3, outChannels: 3 };
const spread = { minVariance: 0.5, maxVariance: 2 };
const x = randn([1, 3, 5, 5]);
const block = () => randomBlock(options, 1, spread) as QARepVGGBlock;

function withKey(state: StateDict, name: string, value: unknown): StateDict {
  return { ...state, [name]: value as StateDict[string] };
}

function without(state: StateDict, ...names: string[]): StateDict {
  return Object.fromEntries(Object.entries(state).filter(([name]) => !names.includes(name)));
}

describe('round trips', () => {
  test.each(['official', 'seed'] as const)('layout %s, all forms', (layout) => {
    for (const form of ['train', 'partial', 'deploy'] as const) {
      const [from, to] = [block(), new QARepVGGBlock(options).eval()];
      if (form !== 'train') {
        from.switchToDeploy({ keepPostBn: form === 'partial' });
        to.switchToDeploy({ keepPostBn: form === 'partial' });
      }
      const result = to.loadStateDict(from.stateDict({ layout }), { layout });
      expect(result).toEqual({ missing: [], unexpected: [] });
      expect(bits(to.forward(x))).toBe(bits(from.forward(x)));
    }
  });

  test('keys of the seed layout are those of the article', () => {
    const norm = (name: string) =>
      ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'].map((part) => `${name}.${part}`);
    const from = new QARepVGGBlock({ ...options, pointwiseBias: true, alpha: true }).eval();
    expect(Object.keys(from.stateDict({ layout: 'seed' })).sort()).toEqual(
      ['conv3x3.weight', ...norm('bn3x3'), 'conv1x1.weight', 'conv1x1.bias', 'alpha', ...norm('final_bn')].sort(),
    );
    expect(Object.keys(from.reparameterize().stateDict({ layout: 'seed' }))).toEqual(['weight', 'bias']);
    from.switchToDeploy();
    expect(Object.keys(from.stateDict({ layout: 'seed' }))).toEqual(['weight', 'bias']);
  });

  test('a deploy block in the seed layout loads into a plain convolution', () => {
    const from = block().switchToDeploy();
    const conv = new Conv2d({ ...options, padding: 1, activation: 'relu' });
    conv.loadStateDict(from.stateDict({ layout: 'seed' }));
    expect(bits(conv.forward(x))).toBe(bits(from.forward(x)));
  });

  test('stateDict copies, parameters are live', () => {
    const one = block();
    const before = bits(one.forward(x));
    for (const { data } of Object.values(one.stateDict())) data.fill(7);
    expect(bits(one.forward(x))).toBe(before);
    one.parameters()['bn.weight']?.data.fill(7);
    expect(bits(one.forward(x))).not.toBe(before);
    expect(one.stateDict()['bn.weight']?.data).toEqual(new Float32Array([7, 7, 7]));
  });

  test('loading a module into itself, tensors swapped, through live views', () => {
    const one = block();
    const { 'bn.weight': weight, 'bn.bias': bias } = one.parameters();
    const before = one.stateDict();
    one.loadStateDict({ 'bn.weight': bias, 'bn.bias': weight } as StateDict, { strict: false });
    expect(one.stateDict()['bn.bias']).toEqual(before['bn.weight']);
    expect(one.stateDict()['bn.weight']).toEqual(before['bn.bias']);
  });
});

describe('refusals change nothing', () => {
  const good = block().stateDict();
  const other = () => mapState(good, (_, { data }) => data.map(() => 0.5));

  /** Loads into a fresh block, which must be as before afterwards and still load a good state. */
  function expectLoadRefusal(state: unknown, code: Parameters<typeof expectRefusal>[1], message: string): void {
    const one = block();
    expectRefusal(() => one.loadStateDict(state as StateDict), code, message);
    expect(bits(...Object.values(one.stateDict()))).toBe(bits(...Object.values(good)));
    one.loadStateDict(other());
    expect(bits(...Object.values(one.stateDict()))).toBe(bits(...Object.values(other())));
  }

  test('names all missing keys, unexpected keys and wrong dims at once', () => {
    const state = without(other(), 'bn.bias', 'rbr_dense.bn.running_var');
    state.extra = tensor([1], [1]);
    state['name with \n'] = tensor([1], [1]);
    state['rbr_1x1.weight'] = tensor(new Float32Array(9), [3, 3]);
    for (const part of [
      'missing: "rbr_dense.bn.running_var", "bn.bias"',
      'unexpected: "extra", "name with \\n"',
      'wrong dims: "rbr_1x1.weight" (expected [3, 3, 1, 1], received [3, 3])',
    ]) {
      expectLoadRefusal(state, 'ERR_MODEL_INCOMPATIBLE', part);
    }
  });

  test('names like __proto__ and toString are names like any other', () => {
    const state = Object.defineProperty(other(), '__proto__', { value: tensor([1], [1]), enumerable: true });
    expectLoadRefusal(state, 'ERR_MODEL_INCOMPATIBLE', 'unexpected: "__proto__"');
    expectLoadRefusal({ ...other(), toString: tensor([1], [1]) }, 'ERR_MODEL_INCOMPATIBLE', 'unexpected: "toString"');
    expectLoadRefusal(Object.create(other()), 'ERR_MODEL_INCOMPATIBLE', 'missing: "rbr_dense.conv.weight"');
  });

  test.each([
    ['a deploy block', () => block().switchToDeploy().stateDict(), 'look like a block in deploy form'],
    ['a partial block', () => block().switchToDeploy({ keepPostBn: true }).stateDict(), 'a block in partial form'],
    ['the seed layout', () => block().stateDict({ layout: 'seed' }), "layout 'seed' in train form"],
    ['RepVGG', () => new RepVGGBlock(options).stateDict(), 'a RepVGG block (variants S0 to S2) in train form'],
    ['S3', () => new QARepVGGBlock({ ...options, variant: 'S3' }).stateDict(), 'variant S3'],
    ['a convolution', () => new Conv2d(options).stateDict(), 'a plain convolution'],
    [
      'super-gradients',
      () => ({ 'branch_3x3.conv.weight': randn([3, 3, 3, 3]) }),
      "layout 'super-gradients' in train form",
    ],
    ['timm', () => ({ 'conv_kxk.conv.weight': randn([3, 3, 3, 3]) }), "layout 'timm' in train form"],
    ['a part of a module', () => prefixed('encoder.'), 'when the prefix "encoder." is removed'],
  ])('says where the keys seem to come from: %s', (_, make, words) => {
    expectLoadRefusal(make(), 'ERR_MODEL_INCOMPATIBLE', words);
  });

  function prefixed(prefix: string): StateDict {
    return Object.fromEntries(Object.entries(other()).map(([name, value]) => [prefix + name, value]));
  }

  test('the other way round: a train state into a deploy block', () => {
    const deploy = block().switchToDeploy();
    const words = 'expected the 2 tensors of a block in deploy form, received 12 that look like a QARepVGG block';
    expectRefusal(() => deploy.loadStateDict(good), 'ERR_MODEL_INCOMPATIBLE', words);
  });

  test.each([[null], [undefined], [3], ['state'], [[]], [() => good]])('%p is no state dict', (state) => {
    expectLoadRefusal(state, 'ERR_INVALID_ARG', 'a state dict');
  });

  test.each([[null], [undefined], [new Float32Array(3)], ['tensor']])('%p is no tensor', (value) => {
    const code = value instanceof Float32Array ? 'ERR_SHAPE' : 'ERR_INVALID_ARG';
    expectLoadRefusal(withKey(other(), 'bn.bias', value), code, '"bn.bias"');
  });

  const target = 'rbr_dense.conv.weight';

  test.each(hostileDims)('dims of a tensor: %s', (_, code, message, make) => {
    const state = withKey(other(), target, { data: new Float32Array(81), dims: make() });
    expectLoadRefusal(state, code, target);
    expectLoadRefusal(state, code, message);
  });

  test.each(hostileData)('data of a tensor: %s', (_, code, message, make) => {
    const state = withKey(other(), target, { data: make(), dims: [1, 3, 2, 4] });
    expectLoadRefusal(state, code, target);
    expectLoadRefusal(state, code, message);
  });

  test('a getter that detaches a tensor that was read before', () => {
    const state = other();
    const first = state['rbr_dense.conv.weight']?.data as Float32Array;
    Object.defineProperty(state, 'bn.weight', {
      enumerable: true,
      get() {
        detached(first);
        return tensor([1, 1, 1], [3]);
      },
    });
    expectLoadRefusal(state, 'ERR_BUFFER_DETACHED', target);
  });

  test('a layout that has no names for the block', () => {
    const s3 = new QARepVGGBlock({ ...options, variant: 'S3' });
    expectRefusal(() => s3.stateDict({ layout: 'seed' }), 'ERR_INVALID_ARG', 'option layout');
    expectRefusal(() => s3.loadStateDict({}, { layout: 'seed' }), 'ERR_INVALID_ARG', 'option layout');
    expectRefusal(() => s3.loadStateDict({}, { layout: 'timm' as 'seed' }), 'ERR_INVALID_ARG', 'received "timm"');
    expectRefusal(() => s3.loadStateDict({}, { strict: 1 as unknown as boolean }), 'ERR_INVALID_ARG', 'option strict');
  });
});

describe('not strict', () => {
  test('loads what fits and tells what did not', () => {
    const one = block();
    const result = one.loadStateDict({ 'bn.bias': tensor([1, 2, 3], [3]), extra: tensor([1], [1]) }, { strict: false });
    expect(result.unexpected).toEqual(['extra']);
    expect(result.missing).toHaveLength(11);
    expect(one.stateDict()['bn.bias']?.data).toEqual(new Float32Array([1, 2, 3]));
    expect(bits(...Object.values(without(one.stateDict(), 'bn.bias')))).toBe(
      bits(...Object.values(without(block().stateDict(), 'bn.bias'))),
    );
  });

  test('still refuses wrong dims', () => {
    const state = { 'bn.bias': tensor([1, 2], [2]) };
    expectRefusal(() => block().loadStateDict(state, { strict: false }), 'ERR_MODEL_INCOMPATIBLE', '"bn.bias"');
  });
});
