import { Conv2d, type Module, QARepVGGBlock, type RepBlock, randn, type Tensor } from '../../lib';
import { randomBlock } from '../support/blocks';
import { bits } from '../support/compare';
import { detached } from '../support/hostile';
import { expectRefusal, expectRejection } from '../support/refusal';

const options = { inChannels: 3, outChannels: 3 };
const spread = { minVariance: 0.5, maxVariance: 2 };
const x = randn([1, 3, 4, 4], { seed: 1 });
const block = randomBlock(options, 1, spread);
const right = bits(block.forward(x));

/** Every public method and getter, called on `self`. */
const calls: [string, (self: Module) => unknown][] = [
  ['train', (self) => block.train.call(self)],
  ['eval', (self) => block.eval.call(self)],
  ['forward', (self) => block.forward.call(self, x)],
  ['backward', (self) => block.backward.call(self, x)],
  ['zeroGrad', (self) => block.zeroGrad.call(self)],
  ['parameters', (self) => block.parameters.call(self)],
  ['stateDict', (self) => block.stateDict.call(self)],
  ['loadStateDict', (self) => block.loadStateDict.call(self, block.stateDict())],
  ['toString', (self) => block.toString.call(self)],
  ['training', (self) => Reflect.get(QARepVGGBlock.prototype, 'training', self)],
  ['form', (self) => Reflect.get(QARepVGGBlock.prototype, 'form', self)],
  ['options', (self) => Reflect.get(QARepVGGBlock.prototype, 'options', self)],
  ['reparameterize', (self) => block.reparameterize.call(self as RepBlock)],
  ['switchToDeploy', (self) => block.switchToDeploy.call(self as RepBlock)],
];

describe.each(calls)('%s on a wrong this', (name, call) => {
  test.each([
    ['nothing', undefined],
    ['null', null],
    ['a number', 5],
    ['a plain object', {}],
    ['the prototype', QARepVGGBlock.prototype],
    ['an object made from the prototype', Object.create(QARepVGGBlock.prototype)],
    ['a Proxy of a block', new Proxy(block, {})],
  ])('%s', (_, self) => {
    expectRefusal(() => call(self as Module), 'ERR_INVALID_ARG', name);
    expect(bits(block.forward(x))).toBe(right);
  });
});

test('forwardAsync on a wrong this rejects', async () => {
  await expectRejection(block.forwardAsync.call({} as Module, x), 'ERR_INVALID_ARG', 'forwardAsync');
});

test.each(['form', 'options'])('%s is not for other modules', (name) => {
  const conv = new Conv2d(options);
  expectRefusal(() => Reflect.get(QARepVGGBlock.prototype, name, conv), 'ERR_INVALID_ARG', 'expected a block');
});

test('the constructors need new, and can be extended', () => {
  expect(() => (QARepVGGBlock as unknown as () => void)()).toThrow('new');
  class Named extends QARepVGGBlock {
    readonly label = 'mine';
  }
  const named = new Named(options);
  expect(named.label).toBe('mine');
  expect(bits(named.eval().forward(x))).toBe(bits(new QARepVGGBlock(options).eval().forward(x)));
});

test('a module whose memory was transferred away says so', () => {
  for (const part of ['data', 'grad'] as const) {
    const one = randomBlock(options, 1, spread);
    one.forward(x, { grad: true });
    detached(one.parameters()['bn.weight']?.[part] as Float32Array);
    for (const run of [
      () => one.forward(x),
      () => one.backward(x),
      () => one.stateDict(),
      () => one.loadStateDict(block.stateDict()),
      () => one.reparameterize(),
      () => one.switchToDeploy(),
      () => one.parameters(),
      () => one.zeroGrad(),
    ]) {
      expectRefusal(run, 'ERR_BUFFER_DETACHED', 'parameters()');
    }
  }
  expect(bits(block.forward(x))).toBe(right);
});

describe('an argument whose getter changes the module while it is read', () => {
  const changing = (change: () => unknown, value = x) =>
    Object.defineProperty({ data: value.data }, 'dims', {
      get() {
        change();
        return value.dims;
      },
    }) as unknown as Tensor;

  test('forward computes with what the module is then', () => {
    const [one, deployed] = [randomBlock(options, 1, spread), randomBlock(options, 1, spread).switchToDeploy()];
    expect(bits(one.forward(changing(() => one.switchToDeploy())))).toBe(bits(deployed.forward(x)));
    expect(bits(one.forward(x))).toBe(bits(deployed.forward(x)));
  });

  test('backward is refused when its graph is gone', () => {
    const one = randomBlock(options, 1, spread);
    one.forward(x, { grad: true });
    const gradient = changing(() => one.loadStateDict(one.stateDict()));
    expectRefusal(() => one.backward(gradient), 'ERR_INVALID_STATE', 'a forward that kept its graph');
    expect(bits(one.forward(x))).toBe(right);
  });

  test('loadStateDict loads into what the module is then', () => {
    const one = randomBlock(options, 1, spread);
    const state = one.stateDict();
    const bias = state['bn.bias'] as Tensor;
    const changed = { ...state, 'bn.bias': changing(() => one.switchToDeploy(), bias) };
    expectRefusal(() => one.loadStateDict(changed), 'ERR_MODEL_INCOMPATIBLE', 'a block in deploy form');
    const memory = {
      ...state,
      'bn.bias': changing(() => detached(one.parameters()['rbr_reparam.bias']?.data as never)),
    };
    expectRefusal(() => one.loadStateDict(memory), 'ERR_BUFFER_DETACHED', 'parameters()');
  });
});

test('results outlive their module, and belong to the caller', async () => {
  const outputs: Tensor[] = [];
  for (let i = 0; i < 50; i++) {
    const one = randomBlock(options, 1, spread);
    outputs.push(one.forward(x), await one.forwardAsync(x));
  }
  outputs[0]?.data.fill(0);
  expect(new Set(outputs.slice(1).map((output) => bits(output)))).toEqual(new Set([right]));
});
