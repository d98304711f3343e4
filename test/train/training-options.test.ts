import {
  createModel,
  type Dataset,
  type FitOptions,
  QARepVGGBlock,
  randn,
  Trainer,
  type TrainerOptions,
} from '../../lib';
import { tiny } from '../support/networks';
import { expectRefusal, expectRejection } from '../support/refusal';
import { patternNetwork, patternOptions, patterns } from '../support/training';

const x = randn([4, 2, 17, 17], { seed: 1 });
const labels = [0, 4, 2, 1];
const data = patterns(50, 2);

describe('options', () => {
  test.each([
    [{ lr: Number.NaN }, 'option lr'],
    [{ lr: 0 }, 'option lr'],
    [{ optimizer: 'lion' }, 'option optimizer'],
    [{ momentum: 1 }, 'option momentum'],
    [{ weightDecay: -1 }, 'option weightDecay'],
    [{ labelSmoothing: 1 }, 'option labelSmoothing'],
    [{ clipNorm: Number.NaN }, 'option clipNorm'],
    [{ clipNorm: 0 }, 'option clipNorm'],
    [{ clipNorm: 1e39 }, 'option clipNorm'],
    [{ epsilon: 1e-60 }, 'option epsilon'],
    [{ nesterov: true, optimizer: 'adamw' }, 'option nesterov: expected false but for sgd'],
    [{ nesterov: true, momentum: 0 }, 'option nesterov'],
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

  test('an eps that is 0 in float32 is none', () => {
    expectRefusal(() => createModel('qarepvgg_a0', { eps: 1e-60 }), 'ERR_INVALID_ARG', 'option eps');
    const block = () => new QARepVGGBlock({ inChannels: 3, outChannels: 3, eps: 1e-60 });
    expectRefusal(block, 'ERR_INVALID_ARG', 'option eps');
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
    await expectRejection(new Trainer(patternNetwork()).fit(data, bad as FitOptions), 'ERR_INVALID_ARG', message);
  });

  test('data sets that do not fit the network', async () => {
    const fitOn = (more: object, set: Dataset = data) =>
      new Trainer(createModel('qarepvgg_a0', { ...patternOptions, ...more })).fit(set, { epochs: 1 });
    await expectRejection(fitOn({ inChannels: 1 }), 'ERR_SHAPE', 'images of 1 channels, received 2');
    await expectRejection(fitOn({ numClasses: 2 }), 'ERR_INVALID_ARG', 'at most 2 classes');
    await expectRejection(fitOn({}, {} as Dataset), 'ERR_INVALID_ARG', 'a Dataset, received an object');
  });
});

test('methods on another object', async () => {
  const { step, fit } = Trainer.prototype;
  await expectRejection(step.call({} as Trainer, x, labels), 'ERR_INVALID_ARG', 'a trainer made by new Trainer');
  await expectRejection(fit.call(null as never, data, { epochs: 1 }), 'ERR_INVALID_ARG', 'received null');
});
