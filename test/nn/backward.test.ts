import { QARepVGGBlock, randn, tensor } from '../../lib';
import { bits } from '../support/compare';
import { expectRefusal } from '../support/refusal';

const options = { inChannels: 6, outChannels: 6 };
const x = randn([2, 6, 7, 5], { seed: 1 });
const ones = tensor(new Float32Array(x.data.length).fill(1), x.dims);

describe('backward', () => {
  test('accumulates; zeroGrad starts anew', () => {
    const block = new QARepVGGBlock(options);
    const gradients = () => Object.values(block.parameters()).map(({ grad, dims }) => ({ data: grad.slice(), dims }));
    const step = () => {
      block.forward(x);
      block.backward(ones);
      return gradients();
    };
    const once = step();
    const twice = step();
    expect(twice.map(({ data }) => data)).toEqual(once.map(({ data }) => data.map((value) => 2 * value)));
    block.zeroGrad();
    expect(gradients().every(({ data }) => data.every((value) => value === 0))).toBe(true);
    expect(bits(...step())).toBe(bits(...once));
  });

  test('belongs to the last forward that kept its graph, whatever ran in between', () => {
    const [block, plain] = [new QARepVGGBlock(options), new QARepVGGBlock(options)];
    plain.forward(x);
    block.forward(x);
    block.eval();
    for (let size = 1; size < 9; size++) block.forward(randn([1, 6, size, size]));
    expect(bits(block.backward(ones))).toBe(bits(plain.backward(ones)));
  });

  test.each<[string, (block: QARepVGGBlock) => void]>([
    ['no forward', () => {}],
    ['a forward without grad', (block) => block.forward(x, { grad: false })],
    ['an earlier backward', (block) => [block.forward(x), block.backward(ones)]],
    ['weights loaded since', (block) => [block.forward(x), block.loadStateDict(block.stateDict())]],
    ['a change of form since', (block) => [block.forward(x), block.eval().switchToDeploy()]],
  ])('is refused after %s', (_, prepare) => {
    const [block, twin] = [new QARepVGGBlock(options), new QARepVGGBlock(options)];
    prepare(block);
    prepare(twin);
    expectRefusal(() => block.backward(ones), 'ERR_INVALID_STATE', 'a forward that kept its graph');
    expect(bits(block.eval().forward(x))).toBe(bits(twin.eval().forward(x)));
  });

  test('a gradient of other dims is refused and the graph stays', () => {
    const [block, plain] = [new QARepVGGBlock(options), new QARepVGGBlock(options)];
    block.forward(x);
    plain.forward(x);
    expectRefusal(() => block.backward(randn([2, 6, 5, 7])), 'ERR_SHAPE', '[2, 6, 7, 5]');
    expect(bits(block.backward(ones))).toBe(bits(plain.backward(ones)));
  });
});
