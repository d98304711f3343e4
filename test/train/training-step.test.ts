import path from 'node:path';
import { createModel, randn, Trainer, type TrainerOptions } from '../../lib';
import { temporaryFolder } from '../support/formats';
import { randomNetwork, tiny } from '../support/networks';
import { expectRefusal, expectRejection } from '../support/refusal';
import { state } from '../support/training';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const x = randn([4, 2, 17, 17], { seed: 1 });
const labels = [0, 4, 2, 1];

describe('step', () => {
  test('tells loss, accuracy and learning rate, and the network has the new weights', async () => {
    const model = createModel('qarepvgg_a0', tiny);
    const trainer = new Trainer(model, { lr: 0.2, schedule: 'cosine', warmup: 0.5, steps: 4 });
    const rates: number[] = [];
    let before = state(model);
    for (let i = 1; i <= 5; i++) {
      const report = await trainer.step(x, labels);
      expect(report.step).toBe(i);
      expect([0, 0.25, 0.5, 0.75, 1]).toContain(report.accuracy);
      expect(report.loss).toBeGreaterThan(0);
      rates.push(report.learningRate);
      expect(state(model)).not.toBe(before);
      before = state(model);
    }
    // After its last step, a schedule stays where it is.
    expect(rates.map((rate) => Math.round(rate * 1e6) / 1e6)).toEqual([0.1, 0.2, 0.2, 0.1, 0.1]);
    expect(model.stateDict()['stage0.bn.num_batches_tracked']?.data).toEqual(new Float32Array([5]));
  });

  test('labels of any kind; images of another size and number continue with the same momentum', async () => {
    const [one, two] = [createModel('qarepvgg_a0', tiny), createModel('qarepvgg_a0', tiny)];
    const [first, second] = [new Trainer(one), new Trainer(two)];
    const small = randn([2, 2, 9, 13], { seed: 3 });
    await first.step(x, labels);
    await first.step(small, [1, 0]);
    await first.step(x, Int32Array.from(labels));
    await second.step(x, labels);
    await second.saveCheckpoint(file('between'));
    const third = new Trainer(randomNetwork('qarepvgg_a0', tiny, 7));
    await third.loadCheckpoint(file('between'));
    await third.step(small, [1, 0]);
    await third.saveCheckpoint(file('between'));
    await second.loadCheckpoint(file('between'));
    await second.step(x, labels);
    expect(second.stepCount).toBe(3);
    expect(state(two)).toBe(state(one));
  });

  test('weights that are loaded into the network are trained on', async () => {
    const [one, two] = [createModel('qarepvgg_a0', tiny), createModel('qarepvgg_a0', { ...tiny, seed: 5 })];
    const [first, second] = [new Trainer(one, { momentum: 0 }), new Trainer(two, { momentum: 0 })];
    await first.step(x, labels);
    one.loadStateDict(two.stateDict());
    await first.step(x, labels);
    await second.step(x, labels);
    expect(state(one)).toBe(state(two));
  });

  test('weight decay is for weights; with customL2, the centre of a 3x3 and the 1x1 have another one', async () => {
    const run = async (more: TrainerOptions) => {
      const model = randomNetwork('repvgg_a0', tiny);
      const before = model.stateDict();
      await new Trainer(model, { lr: 1e-6, momentum: 0, weightDecay: 1e5, ...more }).step(x, labels);
      const after = model.stateDict();
      // The first and the last number of a 3x3 are taps in its corners.
      const shrinks = (name: string, i: number): boolean =>
        Math.abs((after[name]?.data.at(i) as number) / (before[name]?.data.at(i) as number) - 0.9) < 1e-3;
      return Object.keys(model.parameters()).filter((name) => shrinks(name, 0) && shrinks(name, -1));
    };
    const weights = Object.entries(randomNetwork('repvgg_a0', tiny).parameters()).filter(
      ([, { dims }]) => dims.length > 1,
    );
    expect((await run({})).sort()).toEqual(weights.map(([name]) => name).sort());
    expect((await run({ customL2: true })).sort()).toEqual(
      weights.flatMap(([name]) => (name.includes('1x1') ? [] : [name])).sort(),
    );
    expect(await run({ optimizer: 'adamw' })).toEqual(await run({}));
  });

  test('the partial form is trained too', async () => {
    const model = randomNetwork('qarepvgg_a0').switchToDeploy({ keepPostBn: true });
    const before = state(model);
    await new Trainer(model).step(x, labels);
    expect(state(model)).not.toBe(before);
  });

  test('squeeze-and-excitation learns', async () => {
    const model = createModel('qarepvgg_d2se', { ...tiny, channels: [16, 16, 16, 16, 32] });
    const trainer = new Trainer(model, { lr: 0.05 });
    const gates = () => model.stateDict()['stage1.0.se.down.weight'];
    const before = gates();
    const losses: number[] = [];
    for (let i = 0; i < 20; i++) losses.push((await trainer.step(x, labels)).loss);
    expect(gates()).not.toEqual(before);
    expect(losses.at(-1)).toBeLessThan((losses[0] as number) / 4);
  });

  test.each([
    [[0, 1, 2], 'ERR_SHAPE', 'expected 4, one for each image, received 3'],
    [[0, 1, 2, 5], 'ERR_INVALID_ARG', 'labels[3]: expected an integer from 0 to 4, received 5'],
    [[0, -1, 2, 3], 'ERR_INVALID_ARG', 'labels[1]'],
    [[0, 1.5, 2, 3], 'ERR_INVALID_ARG', 'labels[1]'],
    [[0, 1, Number.NaN, 3], 'ERR_INVALID_ARG', 'labels[2]'],
    ['0123', 'ERR_INVALID_ARG', 'an array of class indices'],
    [new Uint8Array(4), 'ERR_INVALID_ARG', 'a Uint8Array'],
  ] as const)('labels %p are refused', async (bad, code, message) => {
    const model = createModel('qarepvgg_a0', tiny);
    const before = state(model);
    await expectRejection(new Trainer(model).step(x, bad as never), code, message);
    expect(state(model)).toBe(before);
  });

  test('images that are none, one value per channel', async () => {
    const trainer = new Trainer(createModel('qarepvgg_a0', tiny));
    await expectRejection(trainer.step(randn([4, 3, 17, 17]), labels), 'ERR_SHAPE', '2 channels');
    await expectRejection(trainer.step(randn([1, 2, 17, 17]), [0]), 'ERR_SHAPE', 'more than one value per channel');
    await trainer.step(x, labels);
  });

  test('NaN: nothing changes, and the training goes on', async () => {
    const [model, other] = [createModel('qarepvgg_a0', tiny), createModel('qarepvgg_a0', tiny)];
    const [trainer, clean] = [new Trainer(model), new Trainer(other)];
    await trainer.step(x, labels);
    const bad = { data: x.data.slice(), dims: x.dims };
    bad.data[3] = Number.NaN;
    await expectRejection(trainer.step(bad, labels), 'ERR_NON_FINITE', 'step 2');
    await trainer.step(x, labels);
    for (let i = 0; i < 2; i++) await clean.step(x, labels);
    expect(state(model)).toBe(state(other));
  });

  test('one at a time; inputs are copied', async () => {
    const [model, other] = [createModel('qarepvgg_a0', tiny), createModel('qarepvgg_a0', tiny)];
    const trainer = new Trainer(model);
    const copy = { data: x.data.slice(), dims: [...x.dims] };
    const pending = trainer.step(copy, labels);
    copy.data.fill(Number.NaN);
    await expectRejection(trainer.step(x, labels), 'ERR_BUSY', 'one call at a time');
    await expectRejection(trainer.saveCheckpoint(file('x')), 'ERR_BUSY', 'one call at a time');
    await pending;
    await new Trainer(other).step(x, labels);
    expect(state(model)).toBe(state(other));
  });

  test('the network has changed its form', async () => {
    const model = createModel('qarepvgg_a0', tiny);
    const trainer = new Trainer(model);
    await trainer.step(x, labels);
    model.eval().switchToDeploy();
    await expectRejection(trainer.step(x, labels), 'ERR_INVALID_STATE', 'one in deploy form; make a new Trainer');
    expectRefusal(() => new Trainer(model), 'ERR_INVALID_STATE', 'train first');
  });
});
