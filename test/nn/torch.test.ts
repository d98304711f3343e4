import { QARepVGGBlock, RepVGGBlock, type StateDict, type Tensor } from '../../lib';
import { type BlockFixture, loadBlockFixtures } from '../fixtures/load';
import { relativeL2 } from '../support/compare';

/** Largest relative L2 errors allowed against PyTorch. */
const tolerance = { forward: 2e-6, statistics: 2e-6, gradients: 2e-5, fused: 3e-6 };

const fixtures = loadBlockFixtures();

function blockOf({ options, state }: BlockFixture): QARepVGGBlock | RepVGGBlock {
  const { variant, ...rest } = options;
  const block =
    variant === 'S0' || variant === 'S1' ? new RepVGGBlock({ ...rest, variant }) : new QARepVGGBlock(options);
  block.loadStateDict(state);
  return block;
}

function expectClose(actual: Tensor | undefined, expected: Tensor, limit: number, norm?: number): void {
  expect(actual?.dims).toEqual(expected.dims);
  expect(relativeL2((actual as Tensor).data, expected.data, norm)).toBeLessThanOrEqual(limit);
}

/** Each tensor against the one of the same name; the names must be the same, too. */
function expectAllClose(
  actual: StateDict,
  expected: StateDict,
  limit: number,
  norms: Record<string, number> = {},
): void {
  expect(Object.keys(actual).sort()).toEqual(Object.keys(expected).sort());
  const worst = Object.entries(expected).map(([name, tensor]) => ({
    name,
    error: relativeL2((actual[name] as Tensor).data, tensor.data, norms[name]),
  }));
  expect(worst.filter(({ error }) => !(error <= limit))).toEqual([]);
}

test('there are at least 60 blocks to compare', () => {
  expect(fixtures.length).toBeGreaterThanOrEqual(60);
});

describe.each(fixtures.map((fixture) => [fixture.name, fixture] as const))('%s', (_, fixture) => {
  test('three training steps, then eval', () => {
    const block = blockOf(fixture);
    for (const step of fixture.steps) {
      expectClose(block.forward(step.input), step.output, tolerance.forward);
      expectClose(block.backward(step.gradOutput), step.gradInput, tolerance.gradients);
    }
    const parameters = Object.entries(block.parameters());
    const gradients = Object.fromEntries(parameters.map(([name, { grad, dims }]) => [name, { data: grad, dims }]));
    expectAllClose(gradients, fixture.gradients, tolerance.gradients, fixture.zeroGradients);
    expectAllClose(block.stateDict(), fixture.trainedState, tolerance.statistics);
    expectClose(block.eval().forward(fixture.evalInput), fixture.evalOutput, tolerance.forward);
  });

  test('fusion', () => {
    const block = blockOf(fixture);
    block.loadStateDict(fixture.trainedState);
    const conv = block.eval().reparameterize();
    const { weight, bias } = conv.stateDict();
    expectClose(weight, fixture.fused.weight, tolerance.fused);
    expectClose(bias, fixture.fused.bias, tolerance.fused);
    expectClose(conv.forward(fixture.evalInput), fixture.evalOutput, tolerance.fused);
    if (fixture.options.variant === 'S4') {
      block.switchToDeploy({ keepPostBn: true });
      expectClose(block.forward(fixture.evalInput), fixture.evalOutput, tolerance.fused);
    }
    block.switchToDeploy();
    expectClose(block.forward(fixture.evalInput), fixture.evalOutput, tolerance.fused);
  });
});
