import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { inspect } from 'node:util';
import {
  Conv2d,
  createModel,
  exportOnnx,
  InferenceSession,
  loadModel,
  type Network,
  QARepVGGBlock,
  quantize,
  randn,
  type SessionOptions,
  saveModel,
  Trainer,
} from '../../lib';
import { withSession } from '../../lib/runtime/with-session';
import { bits, relativeL2 } from '../support/compare';
import { temporaryFolder } from '../support/formats';
import { deployNetwork, randomNetwork, tiny } from '../support/networks';
import { expectRejection } from '../support/refusal';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const labels = ['a', 'b', 'c', 'd', 'e'];
const preprocessing = { mean: [0.1, 0.2], std: [0.3, 0.4], crop: 0.9 };
const model = deployNetwork('qarepvgg_a0', { ...tiny, labels, preprocessing });
const x = randn([2, 2, 17, 17]);

describe('a session knows', () => {
  const facts = async (source: Parameters<typeof InferenceSession.create>[0], options: SessionOptions = {}) =>
    withSession(source, options, async (session) => {
      const { labels, preprocessing, inputSize } = session;
      return { labels, preprocessing, inputSize };
    });

  test('labels, preprocessing and size of its model, from wherever it comes', async () => {
    const int8 = (await quantize(model, [x])).model;
    await saveModel(model, file('deploy.safetensors'));
    await saveModel(int8, file('int8.safetensors'));
    await exportOnnx(model, file('deploy.onnx'));
    await exportOnnx(int8, file('int8.onnx'));
    const names = ['deploy.safetensors', 'int8.safetensors', 'deploy.onnx', 'int8.onnx'];
    for (const source of [model, int8, ...names.map(file), ...names.map((name) => readFileSync(file(name)))]) {
      expect(await facts(source)).toEqual({ labels, preprocessing, inputSize: [17, 17] });
    }
  });

  test('what its options say instead', async () => {
    const other = { mean: [0, 0], std: [1, 1] };
    expect(await facts(model, { preprocessing: other, inputSize: [20, 30] })).toEqual({
      labels,
      preprocessing: other,
      inputSize: [20, 30],
    });
    expect(await facts(model, { inputSize: 24 })).toMatchObject({ inputSize: [24, 24] });
  });

  test('of a model that says nothing: no labels, and what is used all the same', async () => {
    const conv = new Conv2d({ inChannels: 1, outChannels: 2 });
    expect(await facts(conv)).toEqual({
      labels: undefined,
      preprocessing: { mean: [0.5], std: [0.5] },
      inputSize: [32, 32],
    });
  });

  test('and what it hands out cannot be changed', async () => {
    await withSession(model, {}, async (session) => {
      for (const list of [
        session.labels,
        session.inputSize,
        session.inputNames,
        session.inputMetadata,
        session.outputMetadata[0]?.shape,
        session.preprocessing?.mean,
      ]) {
        expect(Object.isFrozen(list)).toBe(true);
      }
    });
  });
});

describe('inputs and outputs', () => {
  test.each([
    ['a network', model, ['N', 2, 'H', 'W'], ['N', 5]],
    [
      'a block',
      new QARepVGGBlock({ inChannels: 3, outChannels: 8, stride: 2 }).eval().switchToDeploy(),
      ['N', 3, 'H', 'W'],
      ['N', 8, 'H_out', 'W_out'],
    ],
    ['a convolution', new Conv2d({ inChannels: 1, outChannels: 2 }), ['N', 1, 'H', 'W'], ['N', 2, 'H_out', 'W_out']],
  ])('of %s', async (_, source, input, output) => {
    await withSession(source, {}, async ({ inputNames, outputNames, inputMetadata, outputMetadata }) => {
      expect([inputNames, outputNames]).toEqual([['input'], ['logits']]);
      expect(inputMetadata).toEqual([{ name: 'input', isTensor: true, type: 'float32', shape: input }]);
      expect(outputMetadata).toEqual([{ name: 'logits', isTensor: true, type: 'float32', shape: output }]);
    });
  });

  test('are taken and given by their names', async () => {
    await withSession(model, {}, async (session) => {
      const [input, output] = [session.inputNames[0] as string, session.outputNames[0] as string];
      const expected = bits(session.runSync({ input: x }).logits);
      const all = await session.run({ [input]: x });
      expect(Object.keys(all)).toEqual(session.outputNames);
      for (const fetches of [
        all,
        await session.run({ [input]: x }, [output]),
        await session.run({ [input]: x }, [output], { signal: new AbortController().signal }),
        session.runSync({ [input]: x }, [output]),
      ]) {
        expect(bits(fetches[output] as never)).toBe(expected);
      }
    });
  });

  test('of other names are refused', async () => {
    await withSession(model, {}, async (session) => {
      for (const wanted of [['probabilities'], ['logits', 'other'], [7], []]) {
        await expectRejection(session.run({ input: x }, wanted as never), 'ERR_INVALID_ARG', '["logits"]');
      }
      await expectRejection(session.run({ images: x }), 'ERR_INVALID_ARG', 'under the names ["input"]');
      await expectRejection(session.run({ input: x }, ['logits'], { sig: 1 } as never), 'ERR_INVALID_ARG', 'signal');
      const aborted = { signal: AbortSignal.abort() };
      await expectRejection(session.run({ input: x }, ['logits'], aborted), 'ERR_ABORTED', 'abort');
    });
  });
});

describe('a file in another form is fused on the way', () => {
  test.each(['train', 'partial'] as const)('%s', async (form) => {
    const network = randomNetwork('qarepvgg_a0', { ...tiny, labels });
    const expected = network.reparameterize().forward(x);
    if (form === 'partial') network.switchToDeploy({ keepPostBn: true });
    await saveModel(network, file(`${form}.safetensors`));
    for (const source of [file(`${form}.safetensors`), readFileSync(file(`${form}.safetensors`))]) {
      await withSession(source, {}, async (session) => {
        expect(relativeL2(session.runSync({ input: x }).logits.data, expected.data)).toBeLessThan(2e-5);
        expect(session.labels).toEqual(labels);
      });
    }
    expect((await loadModel<Network>(file(`${form}.safetensors`))).form).toBe(form);
  });

  test('unless its weights are not finite', async () => {
    const network = randomNetwork('qarepvgg_a0');
    (network.parameters()['stage0.bn.weight']?.data as Float32Array)[0] = Number.NaN;
    await saveModel(network, file('nan.safetensors'));
    await expectRejection(InferenceSession.create(file('nan.safetensors')), 'ERR_NON_FINITE', 'stage0.bn.weight');
  });

  test('the network of the package is found by its name, and served', async () => {
    const shipped = createRequire(__filename).resolve('qarepvgg/models/fashion-mnist.safetensors');
    const session = await InferenceSession.create(shipped);
    const { logits } = await session.run({ input: { data: new Uint8Array(784), dims: [1, 28, 28, 1] } });
    expect([session.inputSize, session.labels?.length, logits.dims]).toEqual([[28, 28], 10, [1, 10]]);
    session.dispose();
  });
});

describe('console.log shows', () => {
  test.each([
    ['a network', createModel('qarepvgg_a0'), 'Network(qarepvgg_a0, 3 -> 1000, S4, train form)'],
    ['a block', new QARepVGGBlock({ inChannels: 3, outChannels: 4 }), /^QARepVGGBlock\(3 -> 4, .*train form\)$/],
    ['a convolution', new Conv2d({ inChannels: 3, outChannels: 4 }), /^Conv2d\(3 -> 4/],
    ['a trainer', new Trainer(createModel('qarepvgg_a0', tiny)), /^Trainer\(Network\(.*\), sgd, 0 steps\)$/],
  ])('%s', (_, thing, expected) => {
    expect(inspect(thing)).toMatch(expected);
    expect(inspect({ thing })).toContain(`${thing}`);
    // One that has no core, such as what a debugger looks at.
    expect(inspect(Object.create(Object.getPrototypeOf(thing)))).toMatch(/^\w+ \{\}$/);
  });

  test('a quantised model, and a session', async () => {
    const int8 = (await quantize(model, [x])).model;
    expect(inspect(int8)).toBe(`${int8}`);
    await withSession(int8, {}, async (session) => {
      expect(inspect(session)).toBe(`InferenceSession(${int8}, images of 17 x 17)`);
      session.dispose();
      expect(inspect(session)).toContain('InferenceSession(');
    });
  });
});
