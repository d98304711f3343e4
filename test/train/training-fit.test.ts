import path from 'node:path';
import {
  createModel,
  Dataset,
  evaluate,
  loadFashionMnist,
  loadModel,
  type Network,
  type ProgressEvent,
  randn,
  saveModel,
  type Tensor,
  Trainer,
  type TrainerOptions,
} from '../../lib';
import { readSafetensors, writeSafetensors } from '../../lib/formats/safetensors';
import { temporaryFolder } from '../support/formats';
import { expectRejection } from '../support/refusal';
import { patternNetwork, patternOptions, patterns, state } from '../support/training';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const data = patterns(50, 2);

describe('fit', () => {
  test('learns, tells how it goes, and the network can be used', async () => {
    const model = patternNetwork();
    const events: ProgressEvent[] = [];
    const validation = patterns(30, 9);
    const { epochs } = await new Trainer(model, { lr: 0.05, schedule: 'cosine' }).fit(data, {
      epochs: 10,
      batchSize: 16,
      validation,
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
    const images = path.join(__dirname, '../../examples/data/fashion-mnist');
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
      const model = patternNetwork();
      const trainer = new Trainer(model, { optimizer: 'adamw', labelSmoothing: 0.1, clipNorm: 1, ...more });
      const { epochs } = await trainer.fit(data, { epochs: 2, batchSize: 16, flip: true, shift: 2 });
      return [state(model), ...epochs.map(({ loss }) => loss)];
    };
    const expected = await run({});
    expect(await run({ threads: 1 })).toEqual(expected);
    expect(await run({ threads: 2 })).toEqual(expected);
    expect(await run({ seed: 1 })).not.toEqual(expected);
  });

  test('an aborted training resumes with the same bits, wherever it was', async () => {
    const course = { epochs: 3, batchSize: 16, flip: true, shift: 1 };
    const trainerOptions: TrainerOptions = { lr: 0.05, schedule: 'step', warmup: 0.2, seed: 4 };
    const whole = patternNetwork();
    const expected = await new Trainer(whole, trainerOptions).fit(data, course);
    for (const cut of [1, 3, 4, 8]) {
      const controller = new AbortController();
      const signal = controller.signal;
      const onProgress = (event: ProgressEvent) => {
        if (event.kind === 'step' && event.step === cut) controller.abort(new Error('enough'));
      };
      const first = new Trainer(patternNetwork(), trainerOptions);
      const stopped = first.fit(data, { ...course, signal, onProgress, checkpoint: file('cut') });
      await expectRejection(stopped, 'ERR_ABORTED', 'Trainer.fit');

      const model = patternNetwork(99);
      const second = new Trainer(model, trainerOptions);
      await second.loadCheckpoint(file('cut'));
      expect(second.stepCount).toBe(cut);
      const { epochs } = await second.fit(data, course);
      expect(state(model)).toBe(state(whole));
      const results = expected.epochs
        .slice(-epochs.length)
        .map(({ loss, accuracy, learningRate, step }) => ({ loss, accuracy, learningRate, step }));
      expect(epochs).toMatchObject(results);
      // The aborted trainer can resume, too.
      await first.fit(data, course);
    }
  });

  test('checkpoints between epochs, and one that is a model file', async () => {
    const trainer = new Trainer(patternNetwork());
    const stop = new Error('stop');
    const onProgress = (event: ProgressEvent) => {
      if (event.step === 3) throw stop;
    };
    const checkpoint = file('steps');
    const running = trainer.fit(data, { epochs: 9, batchSize: 16, checkpoint, checkpointSteps: 2, onProgress });
    await expect(running).rejects.toBe(stop);
    const other = new Trainer(patternNetwork(2));
    await other.loadCheckpoint(file('steps'));
    expect(other.stepCount).toBe(2);
    const model = await loadModel<Network>(file('steps'));
    expect([model.form, model.options.numClasses]).toEqual(['train', 3]);
  });

  test('a loss that is not finite ends it, and the last good checkpoint stays', async () => {
    const model = patternNetwork();
    const checkpoint = file('diverging');
    const trainer = new Trainer(model, { lr: 1e6, weightDecay: 10 });
    const running = trainer.fit(data, { epochs: 50, batchSize: 16, checkpoint, checkpointSteps: 1 });
    await expectRejection(running, 'ERR_NON_FINITE', 'Trainer.fit: expected a finite');
    const saved = await loadModel<Network>(checkpoint);
    const finite = Object.values(saved.stateDict()).every(({ data }) => data.every(Number.isFinite));
    expect(finite).toBe(true);
  });

  test('weights that are not finite are not saved', async () => {
    const model = patternNetwork();
    const trainer = new Trainer(model);
    await trainer.saveCheckpoint(file('good'));
    model.parameters()['linear.bias']?.data.fill(Number.NaN);
    await expectRejection(trainer.saveCheckpoint(file('good')), 'ERR_NON_FINITE', 'others in linear.bias');
    await trainer.loadCheckpoint(file('good'));
    expect(state(model)).toBe(state(patternNetwork()));
  });

  test('checkpoints that are damaged, or none', async () => {
    const model = patternNetwork();
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
      [tensors, metadata.training?.replace('"batch":0', '"batch":4'), 'received batch 4'],
      [{ ...tensors, more: short }, undefined, 'received also "more"'],
    ];
    for (const [changed, note, message] of cases) {
      await expectRejection(load(changed, note), 'ERR_MODEL_FORMAT', message);
      expect([state(model), trainer.stepCount]).toEqual([after, 3]);
    }
    await saveModel(patternNetwork(), file('bad'));
    await expectRejection(trainer.loadCheckpoint(file('bad')), 'ERR_MODEL_FORMAT', 'a model without one');
    await trainer.loadCheckpoint(file('good'));
  });

  test.each(['sgd', 'adamw'] as const)(
    'memory of %s that is not finite is neither read nor written',
    async (optimizer) => {
      const model = patternNetwork();
      const trainer = new Trainer(model, { optimizer });
      await trainer.fit(data, { epochs: 1, batchSize: 16, checkpoint: file('good') });
      const { tensors, metadata } = await readSafetensors(file('good'));
      const after = state(model);
      for (const [name, value] of [
        ['training.optimizer', Number.NaN],
        ['training.optimizer', Number.POSITIVE_INFINITY],
        ...(optimizer === 'adamw' ? [['training.optimizer', -1] as const] : []),
        ['linear.bias', Number.NaN],
      ] as const) {
        const { data: good, dims } = tensors[name] as Tensor;
        const broken = good.slice();
        broken[broken.length - 1] = value;
        await writeSafetensors(file('bad'), { ...tensors, [name]: { data: broken, dims } }, metadata);
        await expectRejection(trainer.loadCheckpoint(file('bad')), 'ERR_NON_FINITE', `others in ${name}`);
        expect([state(model), trainer.stepCount]).toEqual([after, 3]);
      }
      const { loss } = await trainer.step(randn([4, 2, 8, 8]), [0, 1, 2, 0]);
      expect(loss).toBeLessThan(100);
    },
  );

  test('a checkpoint that cannot be written is refused before the first step', async () => {
    const model = patternNetwork();
    const trainer = new Trainer(model);
    const before = state(model);
    const train = (checkpoint: string) => trainer.fit(data, { epochs: 1, batchSize: 16, checkpoint });
    await expectRejection(train(file('no/folder')), 'ERR_INVALID_ARG', 'ENOENT');
    await expectRejection(train(folder), 'ERR_INVALID_ARG', 'received a folder');
    await expectRejection(train(file('run.onnx')), 'ERR_INVALID_ARG', 'one for an ONNX file');
    expect([state(model), trainer.stepCount]).toEqual([before, 0]);
  });

  test('images to judge on are of the same classes', async () => {
    const train = (classes: string[]) =>
      new Trainer(createModel('qarepvgg_a0', { ...patternOptions, numClasses: 4 })).fit(data, {
        epochs: 1,
        batchSize: 16,
        validation: new Dataset({ ...patterns(30, 9), dims: data.dims, classes }),
      });
    const code = 'ERR_INVALID_ARG';
    await expectRejection(train(['a', 'c', 'b']), code, 'received "c" as class 1, which is "b"');
    await expectRejection(
      train(['a', 'b', 'c', 'd']),
      code,
      'images of the 3 classes of those to train on, received 4',
    );
    expect((await train(['a', 'b', 'c'])).epochs).toHaveLength(1);
  });

  test('images that are transferred away meanwhile: the training ends, and resumes with others', async () => {
    const trainer = new Trainer(patternNetwork());
    const own = patterns(50, 2);
    const lose = () =>
      own.images.length > 0 && structuredClone(own.images, { transfer: [own.images.buffer as ArrayBuffer] });
    const options = { epochs: 2, batchSize: 16 };
    await expectRejection(trainer.fit(own, { ...options, onProgress: lose }), 'ERR_BUFFER_DETACHED', 'Dataset');
    await trainer.fit(data, options);
    const whole = new Trainer(patternNetwork());
    await whole.fit(data, options);
    expect(trainer.stepCount).toBe(whole.stepCount);
  });

  test('a trainer whose training was aborted resumes only that one', async () => {
    const trainer = new Trainer(patternNetwork());
    const stop = AbortSignal.abort();
    await expectRejection(trainer.fit(data, { epochs: 1, batchSize: 16, signal: stop }), 'ERR_ABORTED', 'aborted');
    await expectRejection(trainer.fit(data, { epochs: 1, batchSize: 8 }), 'ERR_INVALID_ARG', 'option batchSize');
    await trainer.fit(data, { epochs: 1, batchSize: 16 });
    expect((await trainer.fit(data, { epochs: 1, batchSize: 8 })).epochs).toHaveLength(1);
  });

  test('checkpoints of other trainings', async () => {
    const trainer = new Trainer(patternNetwork());
    await trainer.fit(data, { epochs: 1, batchSize: 16, checkpoint: file('one') });
    const load = (other: Trainer, name = 'one') => other.loadCheckpoint(file(name));
    const code = 'ERR_MODEL_INCOMPATIBLE';
    const wide = createModel('qarepvgg_a0', { ...patternOptions, eps: 1e-3 });
    await expectRejection(load(new Trainer(wide)), code, 'eps 0.001, received 0.00001');
    await expectRejection(
      load(new Trainer(patternNetwork(), { optimizer: 'adamw' })),
      code,
      'optimizer adamw, received sgd',
    );
    const partial = patternNetwork().eval().switchToDeploy({ keepPostBn: true });
    await expectRejection(load(new Trainer(partial)), code, 'partial form, received train form');

    const other = new Trainer(patternNetwork(), { seed: 1 });
    await load(other);
    await expectRejection(
      other.fit(data, { epochs: 2, batchSize: 16 }),
      'ERR_INVALID_ARG',
      'option seed: expected 0, as the training began',
    );
    const same = new Trainer(patternNetwork());
    await load(same);
    await expectRejection(
      same.fit(data, { epochs: 2, batchSize: 8 }),
      'ERR_INVALID_ARG',
      'option batchSize: expected 16, as the training',
    );
    // All its epochs are done.
    await load(same);
    expect(await same.fit(data, { epochs: 1, batchSize: 16 })).toEqual({ epochs: [] });
  });
});
