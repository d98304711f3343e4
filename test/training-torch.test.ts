import { createModel, type Tensor, Trainer } from '../lib';
import { loadTrainingFixtures } from './fixtures/load';
import { relativeL2 } from './support/compare';

const fixtures = loadTrainingFixtures();

test('there are five runs of 20 steps to compare', () => {
  expect(fixtures.map(({ losses }) => losses.length)).toEqual([20, 20, 20, 20, 20]);
});

test.each(fixtures.map((fixture) => [fixture.name, fixture] as const))('20 steps: %s', async (_, fixture) => {
  const { variant, network, options, images, labels, losses } = fixture;
  const model = createModel('qarepvgg_a0', { ...network, variant });
  model.loadStateDict(fixture.state);
  const trainer = new Trainer(model, options);
  for (const [i, expected] of losses.entries()) {
    const { loss, step } = await trainer.step(images[i] as Tensor, labels[i] as number[]);
    expect(step).toBe(i + 1);
    expect(Math.abs(loss / expected - 1)).toBeLessThan(1e-3);
  }
  const state = model.stateDict();
  expect(Object.keys(state).sort()).toEqual(Object.keys(fixture.trainedState).sort());
  const errors = Object.entries(fixture.trainedState).map(([name, expected]) => ({
    name,
    error: relativeL2((state[name] as Tensor).data, expected.data),
  }));
  expect(errors.filter(({ error }) => !(error <= 5e-3))).toEqual([]);
});
