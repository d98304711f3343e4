import { type BlockOptions, Conv2d, type Conv2dOptions, QARepVGGBlock, RepVGGBlock } from '../../lib';
import { bits } from '../support/compare';
import { expectRefusal } from '../support/refusal';

const legal = { inChannels: 4, outChannels: 4 };

/** For each option, what must be refused. */
const hostile: Record<string, unknown[]> = {
  inChannels: [undefined, 0, -1, 1.5, Number.NaN, '4', 4n, null, 65537, 2 ** 53],
  outChannels: [undefined, 0, -0, 1.5, Number.POSITIVE_INFINITY, [4], 65537],
  stride: [0, 3, 1.5, '1', -1, null],
  dilation: [0, 257, 2 ** 31, 1.5, -1],
  groups: [0, 3, 8, -1, 0.5],
  activation: ['gelu', null, 1, true],
  eps: [0, -1e-5, Number.NaN, 2, '1e-5', Number.POSITIVE_INFINITY],
  momentum: [-0.1, 1.1, Number.NaN, null],
  variant: ['S5', 's4', 4, null],
  pointwiseBias: [1, 'true', null],
  alpha: [0, 1, 'no'],
  averageBranch: ['yes', 0],
  seed: [-1, 0.1, Number.NaN, 2 ** 53, '1', 1n],
};

const cases = Object.entries(hostile).flatMap(([name, values]) => values.map((value) => [name, value] as const));

test.each(cases)('QARepVGGBlock refuses %s: %p', (name, value) => {
  const options = { ...legal, [name]: value } as BlockOptions;
  expectRefusal(() => new QARepVGGBlock(options), 'ERR_INVALID_ARG', `QARepVGGBlock, option ${name}`);
});

test.each([
  ['kernelSize', 2],
  ['kernelSize', 5],
  ['stride', 4],
  ['padding', -1],
  ['padding', 257],
  ['dilation', 0],
  ['groups', 3],
  ['bias', 'yes'],
  ['activation', 'tanh'],
])('Conv2d refuses %s: %p', (name, value) => {
  const options = { ...legal, [name]: value } as unknown as Conv2dOptions;
  expectRefusal(() => new Conv2d(options), 'ERR_INVALID_ARG', `Conv2d, option ${name}`);
});

test.each([[undefined], [null], [3], ['options'], [[]], [() => legal]])('options %p are no options', (options) => {
  expectRefusal(() => new QARepVGGBlock(options as unknown as BlockOptions), 'ERR_INVALID_ARG', 'options');
});

test('a name that is no option is refused, as it is a slip of the pen', () => {
  const options = { ...legal, strides: 2 } as BlockOptions;
  expectRefusal(() => new QARepVGGBlock(options), 'ERR_INVALID_ARG', 'received "strides"');
});

test('options that throw when read are refused', () => {
  const options = Object.defineProperty({ ...legal }, 'stride', {
    enumerable: true,
    get() {
      throw new Error('thrown by the caller');
    },
  });
  expectRefusal(() => new QARepVGGBlock(options), 'ERR_INVALID_ARG', 'throws');
});

test('RepVGGBlock is S0 or S1 only', () => {
  expect(new RepVGGBlock(legal).options.variant).toBe('S1');
  expectRefusal(() => new RepVGGBlock({ ...legal, variant: 'S4' as 'S1' }), 'ERR_INVALID_ARG', '"S0" or "S1"');
});

test('an average branch cannot be fused into a dilated kernel', () => {
  const options = { ...legal, dilation: 2, averageBranch: true };
  expectRefusal(() => new QARepVGGBlock(options), 'ERR_INVALID_ARG', 'averageBranch');
});

test('weights that would not fit are refused before they are allocated', () => {
  const options = { inChannels: 65536, outChannels: 65536 };
  expectRefusal(() => new QARepVGGBlock(options), 'ERR_LIMIT', 'QARepVGGBlock');
});

test('defaults', () => {
  expect(new QARepVGGBlock(legal).options).toEqual({
    ...legal,
    stride: 1,
    identity: true,
    dilation: 1,
    groups: 1,
    activation: 'relu',
    eps: 1e-5,
    momentum: 0.1,
    variant: 'S4',
    pointwiseBias: false,
    alpha: false,
    averageBranch: false,
    seed: 0,
  });
});

test('an option that is undefined has its default', () => {
  const options = { ...legal, stride: undefined } as unknown as BlockOptions;
  expect(new QARepVGGBlock(options).options.stride).toBe(1);
});

test('a block can be made from the options of another', () => {
  const block = new RepVGGBlock({ ...legal, alpha: true, seed: 5 });
  const other = new RepVGGBlock(block.options);
  expect(bits(...Object.values(other.stateDict()))).toBe(bits(...Object.values(block.stateDict())));
  expect(Object.isFrozen(block.options)).toBe(true);
});
