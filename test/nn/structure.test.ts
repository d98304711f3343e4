import { Conv2d, QARepVGGBlock, type RepBlock, RepVGGBlock, randn } from '../../lib';
import { coreOf } from '../../lib/nn/core';
import { nativeGraph } from '../../lib/nn/native-graph';
import { bits } from '../support/compare';

const options = { inChannels: 6, outChannels: 6 };
const x = randn([2, 6, 7, 5], { seed: 1 });

/** Names of a block's tensors, batch norms shortened to "prefix.*". */
function shortKeys(block: RepBlock): string[] {
  const names = Object.keys(block.stateDict());
  const norms = names.filter((name) => name.endsWith('.running_var')).map((name) => name.replace('running_var', ''));
  const prefixOf = (name: string) => norms.find((norm) => name.startsWith(norm));
  return [...new Set(names.map((name) => (prefixOf(name) ? `${prefixOf(name)}*` : name)))];
}

describe('structure', () => {
  const dense = ['rbr_dense.conv.weight', 'rbr_dense.bn.*'];

  test.each([
    ['S0', [...dense, 'rbr_1x1.conv.weight', 'rbr_1x1.bn.*', 'rbr_identity.*']],
    ['S1', [...dense, 'rbr_1x1.conv.weight', 'rbr_1x1.bn.*', 'rbr_identity.*']],
    ['S2', [...dense, 'rbr_1x1.conv.weight', 'rbr_1x1.bn.*']],
    ['S3', [...dense, 'rbr_1x1.weight']],
    ['S4', [...dense, 'rbr_1x1.weight', 'bn.*']],
  ] as const)('%s has the tensors of the official code', (variant, keys) => {
    expect(shortKeys(new QARepVGGBlock({ ...options, variant }))).toEqual(keys);
  });

  test('bias and alpha of the 1x1', () => {
    const block = new QARepVGGBlock({ ...options, pointwiseBias: true, alpha: true });
    expect(shortKeys(block)).toEqual([...dense, 'rbr_1x1.weight', 'rbr_1x1.bias', 'alpha', 'bn.*']);
    expect(block.parameters().alpha?.dims).toEqual([1]);
  });

  test('other forms', () => {
    const block = new QARepVGGBlock(options).eval();
    expect(shortKeys(block.switchToDeploy({ keepPostBn: true }))).toEqual([
      'rbr_reparam.weight',
      'rbr_reparam.bias',
      'bn.*',
    ]);
    expect(shortKeys(block.switchToDeploy())).toEqual(['rbr_reparam.weight', 'rbr_reparam.bias']);
  });

  test.each([[{ stride: 2 as const }], [{ outChannels: 12 }]])('no identity and no average branch with %p', (more) => {
    const shape = { ...options, ...more, variant: 'S1' as const };
    expect(shortKeys(new QARepVGGBlock(shape))).not.toContain('rbr_identity.*');
    const plain = new QARepVGGBlock(shape).eval().forward(x);
    expect(bits(new QARepVGGBlock({ ...shape, averageBranch: true }).eval().forward(x))).toBe(bits(plain));
  });

  test('parameters are what is trained; buffers are not among them', () => {
    const names = Object.keys(new QARepVGGBlock(options).parameters());
    expect(names).toContain('bn.weight');
    expect(names.filter((name) => /running|tracked/.test(name))).toEqual([]);
  });
});

describe('nodes', () => {
  /** "conv 3x3, batchNorm relu": with what a node adds, and applies. */
  function shortNodes(block: RepBlock): string[] {
    const { nodes, tensors } = nativeGraph(coreOf(block).definition);
    return nodes.map(({ op, inputs, attributes: { kernel, identity, activation } }) => {
      const maps = inputs.filter((input) => input === 0 || input > tensors.length).length;
      const parts = [
        op,
        op === 'conv' && kernel,
        identity && 'identity',
        op !== 'sum' && maps > 1 && 'addend',
        activation,
      ];
      return parts.filter(Boolean).join(' ');
    });
  }

  test.each([
    ['S4', {}, ['conv 1,1 identity', 'conv 3,3', 'batchNorm addend', 'batchNorm relu']],
    [
      'S4',
      { averageBranch: true },
      ['conv 1,1 identity', 'averagePool', 'sum', 'conv 3,3', 'batchNorm addend', 'batchNorm relu'],
    ],
    ['S4', { alpha: true }, ['conv 1,1', 'scale', 'sum', 'conv 3,3', 'batchNorm addend', 'batchNorm relu']],
    ['S4', { stride: 2 }, ['conv 1,1', 'conv 3,3', 'batchNorm addend', 'batchNorm relu']],
    ['S3', {}, ['conv 3,3', 'batchNorm', 'conv 1,1 identity', 'sum relu']],
    ['S3', { activation: 'none' }, ['conv 1,1 identity', 'conv 3,3', 'batchNorm addend']],
    ['S1', {}, ['conv 3,3', 'batchNorm', 'conv 1,1', 'batchNorm', 'batchNorm', 'sum relu']],
  ] as const)('%s, %j: few passes over the images', (variant, more, nodes) => {
    expect(shortNodes(new QARepVGGBlock({ ...options, ...more, variant }))).toEqual(nodes);
  });

  test('other forms', () => {
    const block = new QARepVGGBlock(options).eval();
    expect(shortNodes(block.switchToDeploy({ keepPostBn: true }))).toEqual(['conv 3,3', 'batchNorm relu']);
    expect(shortNodes(block.switchToDeploy())).toEqual(['conv 3,3 relu']);
  });
});

describe('initial state', () => {
  test('is that of the seed article', () => {
    const state = new QARepVGGBlock({ inChannels: 32, outChannels: 64, seed: 3 }).stateDict();
    const weight = state['rbr_dense.conv.weight'];
    const variance = (weight?.data ?? new Float32Array()).reduce((sum, value) => sum + value ** 2, 0) / (64 * 32 * 9);
    // Kaiming normal, fan-out; five standard errors of the variance of 18,432 deviates.
    expect(Math.abs(variance / (2 / (64 * 9)) - 1)).toBeLessThan(5 * Math.sqrt(2 / (64 * 32 * 9)));
    expect(state['rbr_1x1.weight']?.data.every((value) => value === 0)).toBe(true);
    for (const norm of ['rbr_dense.bn', 'bn']) {
      expect(state[`${norm}.weight`]?.data).toEqual(new Float32Array(64).fill(1));
      expect(state[`${norm}.running_var`]?.data).toEqual(new Float32Array(64).fill(1));
      expect(state[`${norm}.bias`]?.data).toEqual(new Float32Array(64));
      expect(state[`${norm}.running_mean`]?.data).toEqual(new Float32Array(64));
      expect(state[`${norm}.num_batches_tracked`]).toEqual({ data: new Float32Array(1), dims: [] });
    }
  });

  test('a 1x1 in front of a batch norm is not zero, alpha is about 1', () => {
    const repvgg = new RepVGGBlock({ ...options, alpha: true }).parameters();
    const weights = repvgg['rbr_1x1.conv.weight']?.data ?? [];
    expect(weights.every((value) => value !== 0 && Math.abs(value) <= 1 / Math.sqrt(6))).toBe(true);
    expect(Math.abs((repvgg.alpha?.data[0] ?? 0) - 1)).toBeLessThan(0.1);
  });

  test('depends on the seed and on nothing else', () => {
    const state = (seed: number) => bits(...Object.values(new QARepVGGBlock({ ...options, seed }).stateDict()));
    expect(state(1)).toBe(state(1));
    expect(state(1)).not.toBe(state(2));
  });

  test('of a convolution is that of torch.nn.Conv2d', () => {
    const { weight, bias } = new Conv2d({ inChannels: 8, outChannels: 6, groups: 2, seed: 1 }).parameters();
    const bound = 1 / Math.sqrt(4 * 9);
    for (const { data } of [weight, bias] as { data: Float32Array }[]) {
      expect(data.every((value) => value !== 0 && Math.abs(value) <= bound)).toBe(true);
    }
  });
});
