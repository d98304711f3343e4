import { QARepVGGBlock, randn, type StateDict, tensor } from '../../lib';
import { loadSeedFixture } from '../fixtures/load';
import { closeness } from '../support/compare';

/** The tolerances of `torch.allclose` in the seed article. */
const [atol, rtol] = [1e-6, 1e-5];

const options = { inChannels: 3, outChannels: 3, activation: 'none' } as const;
const fixture = loadSeedFixture();

/** The article's loop: statistics move, weights do not, as there is no optimiser. */
function train(block: QARepVGGBlock, x: { data: Float32Array; dims: number[] }) {
  const ones = tensor(new Float32Array(2 * 3 * 4 * 4).fill(1), [2, 3, 4, 4]);
  let output = ones;
  for (let i = 0; i < 100; i++) {
    output = block.forward(x);
    block.backward(ones);
  }
  return output;
}

test('the test of the seed article: eval output and merged convolution agree', () => {
  const block = new QARepVGGBlock({ ...options, seed: 42 });
  const x = randn([2, 3, 4, 4], { seed: 42, std: 0.1 });
  train(block, x);
  block.eval();
  const expected = block.forward(x);
  const merged = block.reparameterize();
  expect(closeness(merged.forward(x), expected, atol, rtol)).toBeLessThanOrEqual(1);
  expect(closeness(block.forward(x), expected, 0, 1e-12)).toBe(0);
});

describe("the article's own numbers", () => {
  const block = new QARepVGGBlock(options);
  block.loadStateDict(fixture.state, { layout: 'seed' });
  const trainOutput = train(block, fixture.input);
  const gradients = block.parameters();
  block.eval();
  const state: StateDict = block.stateDict({ layout: 'seed' });

  test('output of the last training forward', () => {
    expect(closeness(trainOutput, fixture.trainOutput, atol, rtol)).toBeLessThanOrEqual(1);
  });

  test.each(Object.keys(fixture.trainedState))('%s after training', (name) => {
    const [actual, expected] = [state[name], fixture.trainedState[name]];
    if (!actual || !expected) throw new Error(`no tensor ${name}`);
    expect(closeness(actual, expected, atol, rtol)).toBeLessThanOrEqual(1);
  });

  test('gradients: 32 ones a forward for the last bias, nothing for the rest', () => {
    expect([...(gradients['bn.bias']?.grad ?? [])]).toEqual([3200, 3200, 3200]);
    for (const [name, { grad }] of Object.entries(gradients)) {
      if (name !== 'bn.bias') expect(Math.max(...grad.map(Math.abs))).toBeLessThan(1e-2);
    }
  });

  test('eval output, merged convolution and its output', () => {
    const merged = block.reparameterize();
    const { weight, bias } = merged.stateDict();
    if (!weight || !bias) throw new Error('no tensors');
    expect(closeness(block.forward(fixture.input), fixture.evalOutput, atol, rtol)).toBeLessThanOrEqual(1);
    expect(closeness(weight, fixture.merged.weight, atol, rtol)).toBeLessThanOrEqual(1);
    expect(closeness(bias, fixture.merged.bias, atol, rtol)).toBeLessThanOrEqual(1);
    expect(closeness(merged.forward(fixture.input), fixture.mergedOutput, atol, rtol)).toBeLessThanOrEqual(1);
  });
});
