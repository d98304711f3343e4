import path from 'node:path';
import {
  createModel,
  Dataset,
  evaluate,
  type FitOptions,
  loadFashionMnist,
  loadModel,
  type Network,
  type ProgressEvent,
  QARepVGGBlock,
  randn,
  saveModel,
  type Tensor,
  Trainer,
  type TrainerOptions,
} from '../lib';
import { readSafetensors, writeSafetensors } from '../lib/formats/safetensors';
import { bits } from './support/compare';
import { temporaryFolder } from './support/formats';
import { randomNetwork, tiny } from './support/networks';
import { expectRefusal, expectRejection } from './support/refusal';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const x = randn([4, 2, 17, 17], { seed: 1 });
const labels = [0, 4, 2, 1];

/** A network for the images of {@link patterns}. */
const options = { ...tiny, numClasses: 3, inputSize: 8 };
const make = (seed = 1): Network => createModel('qarepvgg_a0', { ...options, seed });
const state = (model: Network): string => bits(...Object.values(model.stateDict()));

/** Noise around one pattern for each of three classes. */
function patterns(count: number, seed: number): Dataset {
  const size = 2 * 8 * 8;
  const pattern = randn([3, size], { seed: 1, mean: 128, std: 40 }).data;
  const noise = randn([count, size], { seed, std: 40 }).data;
  const classOf = (image: number): number => image % 3;
  const images = Uint8Array.from(noise, (value, i) => {
    const clean = pattern[classOf(Math.floor(i / size)) * size + (i % size)] as number;
    return Math.max(0, Math.min(255, clean + value));
  });
  const classes = ['a', 'b', 'c'];
  return new Dataset({
    images,
    dims: [8, 8, 2],
    labels: Int32Array.from({ length: count }, (_, i) => classOf(i)),
    classes,
  });
}

const data = patterns(50, 2);

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

  test('labels of any kind; images of another size and number go on with the same momentum', async () => {
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

test('methods on another object', async () => {
  const { step, fit } = Trainer.prototype;
  await expectRejection(step.call({} as Trainer, x, labels), 'ERR_INVALID_ARG', 'a trainer made by new Trainer');
  await expectRejection(fit.call(null as never, data, { epochs: 1 }), 'ERR_INVALID_ARG', 'received null');
});

describe('options', () => {
  test.each([
    [{ lr: Number.NaN }, 'option lr'],
    [{ lr: 0 }, 'option lr'],
    [{ optimizer: 'lion' }, 'option optimizer'],
    [{ momentum: 1 }, 'option momentum'],
    [{ weightDecay: -1 }, 'option weightDecay'],
    [{ labelSmoothing: 1 }, 'option labelSmoothing'],
    [{ clipNorm: Number.NaN }, 'option clipNorm'],
    [{ schedule: 'linear' }, 'option schedule'],
    [{ warmup: 1 }, 'option warmup'],
    [{ milestones: [0.5, 0.5] }, 'option milestones'],
    [{ milestones: [] }, 'option milestones'],
    [{ steps: 0 }, 'option steps'],
    [{ threads: 0 }, 'option threads'],
    [{ customL2: true }, 'option customL2: expected false for blocks without a batch norm'],
    [{ learningRate: 1 }, 'received "learningRate"'],
  ])('%j', (bad, message) => {
    const build = () => new Trainer(createModel('qarepvgg_a0', tiny), bad as TrainerOptions);
    expectRefusal(build, 'ERR_INVALID_ARG', message);
  });

  test('blocks are not trained, and schedules need a length', async () => {
    const block = new QARepVGGBlock({ inChannels: 3, outChannels: 3 });
    expectRefusal(() => new Trainer(block as never), 'ERR_INVALID_ARG', 'a network made by createModel');
    const trainer = new Trainer(createModel('qarepvgg_a0', tiny), { schedule: 'cosine' });
    await expectRejection(trainer.step(x, labels), 'ERR_INVALID_STATE', 'the option steps');
  });

  test.each([
    [{}, 'option epochs'],
    [{ epochs: 0 }, 'option epochs'],
    [{ epochs: 1, batchSize: 51 }, 'option batchSize: expected at most 50'],
    [{ epochs: 1, shift: -1 }, 'option shift'],
    [{ epochs: 1, onProgress: 5 }, 'option onProgress'],
    [{ epochs: 1, signal: 5 }, 'option signal'],
    [{ epochs: 1, checkpoint: '' }, 'option checkpoint'],
    [{ epochs: 1, batchSize: 8, validation: [] }, 'validation, data set: expected a Dataset'],
    [{ epochs: 1, augment: true }, 'received "augment"'],
  ])('of fit: %j', async (bad, message) => {
    await expectRejection(new Trainer(make()).fit(data, bad as FitOptions), 'ERR_INVALID_ARG', message);
  });

  test('data sets that do not fit the network', async () => {
    const fitOn = (more: object, set: Dataset = data) =>
      new Trainer(createModel('qarepvgg_a0', { ...options, ...more })).fit(set, { epochs: 1 });
    await expectRejection(fitOn({ inChannels: 1 }), 'ERR_SHAPE', 'images of 1 channels, received 2');
    await expectRejection(fitOn({ numClasses: 2 }), 'ERR_INVALID_ARG', 'at most 2 classes');
    await expectRejection(fitOn({}, {} as Dataset), 'ERR_INVALID_ARG', 'a Dataset, received an object');
  });
});

describe('fit', () => {
  test('learns, tells how it goes, and the network can be used', async () => {
    const model = make();
    const events: ProgressEvent[] = [];
    const validation = patterns(30, 9);
    const { epochs } = await new Trainer(model, { lr: 0.05, schedule: 'cosine' }).fit(data, {
      ...{ epochs: 10, batchSize: 16, validation },
      onProgress: (event) => events.push(event),
    });
    expect(events).toHaveLength(10 * (3 + 1));
    expect(events.filter(({ kind }) => kind === 'epoch')).toEqual(epochs);
    expect(events[1]).toMatchObject({ kind: 'step', epoch: 1, epochs: 10, step: 2, steps: 30 });
    expect(events[3]).toMatchObject({ kind: 'epoch', epoch: 1, step: 3 });
    for (const event of events) expect(event.imagesPerSecond).toBeGreaterThan(0);
    expect(epochs.at(-1)?.learningRate).toBeLessThan(0.01 * 0.05);
    expect(epochs.at(-1)?.validation?.accuracy).toBeGreaterThan(0.85);
    const { loss, accuracy, predictions } = await evaluate(model, validation);
    expect({ loss, accuracy }).toEqual(epochs.at(-1)?.validation);
    expect(predictions.filter((label, i) => label === validation.label(i)).length / 30).toBe(accuracy);
  });

  test('real images', async () => {
    const images = path.join(__dirname, '../examples/data/fashion-mnist');
    const [train, test] = [await loadFashionMnist(images, 'train'), await loadFashionMnist(images, 'test')];
    const shape = { numClasses: 10, inChannels: 1, inputSize: 28, blocks: [1, 1, 1, 1], channels: [8, 8, 16, 24, 32] };
    const model = createModel('qarepvgg_a0', shape);
    const { epochs } = await new Trainer(model, { lr: 0.05 }).fit(train, {
      epochs: 6,
      batchSize: 32,
      flip: true,
      shift: 1,
    });
    expect(epochs[5]?.loss).toBeLessThan((epochs[0]?.loss as number) / 2);
    expect((await evaluate(model, test)).accuracy).toBeGreaterThan(0.6);
  });

  test('the same seed gives the same bits, on any number of threads; another seed does not', async () => {
    const run = async (more: TrainerOptions) => {
      const model = make();
      const trainer = new Trainer(model, { optimizer: 'adamw', labelSmoothing: 0.1, clipNorm: 1, ...more });
      const { epochs } = await trainer.fit(data, { epochs: 2, batchSize: 16, flip: true, shift: 2 });
      return [state(model), ...epochs.map(({ loss }) => loss)];
    };
    const expected = await run({});
    expect(await run({ threads: 1 })).toEqual(expected);
    expect(await run({ threads: 2 })).toEqual(expected);
    expect(await run({ seed: 1 })).not.toEqual(expected);
  });

  test('a training that is cut off goes on bit for bit, wherever it was', async () => {
    const course = { epochs: 3, batchSize: 16, flip: true, shift: 1 };
    const trainerOptions: TrainerOptions = { lr: 0.05, schedule: 'step', warmup: 0.2, seed: 4 };
    const whole = make();
    const expected = await new Trainer(whole, trainerOptions).fit(data, course);
    for (const cut of [1, 3, 4, 8]) {
      const controller = new AbortController();
      const signal = controller.signal;
      const onProgress = (event: ProgressEvent) => {
        if (event.kind === 'step' && event.step === cut) controller.abort(new Error('enough'));
      };
      const first = new Trainer(make(), trainerOptions);
      const stopped = first.fit(data, { ...course, signal, onProgress, checkpoint: file('cut') });
      await expectRejection(stopped, 'ERR_ABORTED', 'Trainer.fit');

      const model = make(99);
      const second = new Trainer(model, trainerOptions);
      await second.loadCheckpoint(file('cut'));
      expect(second.stepCount).toBe(cut);
      const { epochs } = await second.fit(data, course);
      expect(state(model)).toBe(state(whole));
      const results = expected.epochs
        .slice(-epochs.length)
        .map(({ loss, accuracy, learningRate, step }) => ({ loss, accuracy, learningRate, step }));
      expect(epochs).toMatchObject(results);
      // The trainer that was stopped can go on as well.
      await first.fit(data, course);
    }
  });

  test('checkpoints between epochs, and one that is a model file', async () => {
    const trainer = new Trainer(make());
    const stop = new Error('stop');
    const onProgress = (event: ProgressEvent) => {
      if (event.step === 3) throw stop;
    };
    const checkpoint = file('steps');
    const running = trainer.fit(data, { epochs: 9, batchSize: 16, checkpoint, checkpointSteps: 2, onProgress });
    await expect(running).rejects.toBe(stop);
    const other = new Trainer(make(2));
    await other.loadCheckpoint(file('steps'));
    expect(other.stepCount).toBe(2);
    const model = await loadModel(file('steps'));
    expect([model.form, model.options.numClasses]).toEqual(['train', 3]);
  });

  test('a loss that is not finite ends it, and the last good checkpoint stays', async () => {
    const model = make();
    const checkpoint = file('diverging');
    const trainer = new Trainer(model, { lr: 1e6, weightDecay: 10 });
    const running = trainer.fit(data, { epochs: 50, batchSize: 16, checkpoint, checkpointSteps: 1 });
    await expectRejection(running, 'ERR_NON_FINITE', 'received');
    const saved = await loadModel(checkpoint);
    const finite = Object.values(saved.stateDict()).every(({ data }) => data.every(Number.isFinite));
    expect(finite).toBe(true);
  });

  test('weights that are not finite are not saved', async () => {
    const model = make();
    const trainer = new Trainer(model);
    await trainer.saveCheckpoint(file('good'));
    model.parameters()['linear.bias']?.data.fill(Number.NaN);
    await expectRejection(trainer.saveCheckpoint(file('good')), 'ERR_NON_FINITE', 'others in linear.bias');
    await trainer.loadCheckpoint(file('good'));
    expect(state(model)).toBe(state(make()));
  });

  test('checkpoints that are damaged, or none', async () => {
    const model = make();
    const trainer = new Trainer(model);
    await trainer.fit(data, { epochs: 1, batchSize: 16, checkpoint: file('good') });
    const { tensors, metadata } = await readSafetensors(file('good'));
    const { 'training.optimizer': memory, ...weights } = tensors;
    const after = state(model);
    const load = async (changed: Record<string, Tensor>, note = metadata.training) => {
      await writeSafetensors(file('bad'), changed, { ...metadata, ...(note !== undefined && { training: note }) });
      return trainer.loadCheckpoint(file('bad'));
    };
    const short = { data: (memory as Tensor).data.slice(1), dims: [(memory as Tensor).data.length - 1] };
    const cases: [Record<string, Tensor>, string | undefined, string][] = [
      [weights, undefined, 'a model without one'],
      [{ ...tensors, 'training.optimizer': short }, undefined, 'training.optimizer: expected'],
      [tensors, '{', 'expected a note on the training'],
      [tensors, '{"optimizer":"sgd","stepCount":-1}', 'option stepCount'],
      [tensors, '{"optimizer":"sgd","stepCount":1,"position":{"epoch":0.5}}', 'option'],
      [{ ...tensors, more: short }, undefined, 'received "more" too'],
    ];
    for (const [changed, note, message] of cases) {
      await expectRejection(load(changed, note), 'ERR_MODEL_FORMAT', message);
      expect([state(model), trainer.stepCount]).toEqual([after, 3]);
    }
    await saveModel(make(), file('bad'));
    await expectRejection(trainer.loadCheckpoint(file('bad')), 'ERR_MODEL_FORMAT', 'a model without one');
    await trainer.loadCheckpoint(file('good'));
  });

  test('checkpoints of other trainings', async () => {
    const trainer = new Trainer(make());
    await trainer.fit(data, { epochs: 1, batchSize: 16, checkpoint: file('one') });
    const load = (other: Trainer, name = 'one') => other.loadCheckpoint(file(name));
    const code = 'ERR_MODEL_INCOMPATIBLE';
    const wide = createModel('qarepvgg_a0', { ...options, eps: 1e-3 });
    await expectRejection(load(new Trainer(wide)), code, 'eps 0.001, received 0.00001');
    await expectRejection(load(new Trainer(make(), { optimizer: 'adamw' })), code, 'optimizer adamw, received sgd');
    const partial = make().eval().switchToDeploy({ keepPostBn: true });
    await expectRejection(load(new Trainer(partial)), code, 'partial form, received train form');

    const other = new Trainer(make(), { seed: 1 });
    await load(other);
    await expectRejection(
      other.fit(data, { epochs: 2, batchSize: 16 }),
      'ERR_INVALID_ARG',
      'seed 0, as the training began',
    );
    const same = new Trainer(make());
    await load(same);
    await expectRejection(
      same.fit(data, { epochs: 2, batchSize: 8 }),
      'ERR_INVALID_ARG',
      'batchSize 16, as the training',
    );
    // All its epochs are done.
    await load(same);
    expect(await same.fit(data, { epochs: 1, batchSize: 16 })).toEqual({ epochs: [] });
  });
});
