import { constants } from 'node:buffer';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import {
  Conv2d,
  createModel,
  Dataset,
  evaluate,
  exportOnnx,
  InferenceSession,
  importOnnx,
  loadImageFolder,
  loadModel,
  loadStateDict,
  type Model,
  QARepVGGBlock,
  QARepVGGError,
  QuantizedModel,
  quantize,
  randn,
  saveModel,
  saveStateDict,
  sensitivity,
  Trainer,
  tensor,
  verifyEquivalence,
} from '../../lib';
import { bits } from '../support/compare';
import { temporaryFolder } from '../support/formats';
import { deployNetwork, tiny } from '../support/networks';
import { onnxFile } from '../support/onnx-files';
import { expectRefusal, expectRejection } from '../support/refusal';

// Whatever comes in, what goes out is a QARepVGGError.

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const model = deployNetwork('qarepvgg_a0', tiny);
const x = randn([1, 2, 17, 17]);
const images = new Dataset({
  images: new Uint8Array(2 * 17 * 17),
  dims: [17, 17, 2],
  labels: Int32Array.of(0),
  classes: ['a'],
});

/** A Proxy that has been revoked: nearly all that one can do with it throws. */
function revoked<T>(target: object): T {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy as T;
}

describe.each([
  ['object', {}],
  ['array', []],
] as const)('a revoked Proxy of an %s', (_, target) => {
  const bad = (): never => revoked(target);

  test.each<[string, () => unknown]>([
    ['createModel, options', () => createModel('qarepvgg_a0', bad())],
    ['createModel, labels', () => createModel('qarepvgg_a0', { labels: bad() })],
    ['createModel, inputSize', () => createModel('qarepvgg_a0', { inputSize: bad() })],
    ['QARepVGGBlock', () => new QARepVGGBlock(bad())],
    ['Conv2d', () => new Conv2d(bad())],
    ['tensor', () => tensor(bad(), [1])],
    ['randn, options', () => randn([1], bad())],
    ['forward', () => model.forward(bad())],
    ['forward, options', () => model.forward(x, bad())],
    ['loadStateDict', () => model.loadStateDict(bad())],
    ['stateDict', () => model.stateDict(bad())],
    ['InferenceSession.create', () => InferenceSession.create(bad())],
    ['InferenceSession.create, options', () => InferenceSession.create(model, bad())],
    ['InferenceSession.run, options', async () => (await InferenceSession.create(model)).run({ input: x }, bad())],
    ['saveModel', () => saveModel(bad(), file('x'))],
    ['saveModel, path', () => saveModel(model, bad())],
    ['exportOnnx', () => exportOnnx(bad(), file('x'))],
    ['saveStateDict', () => saveStateDict(bad(), file('x'))],
    ['loadModel', () => loadModel(bad())],
    ['loadStateDict of a file, options', () => loadStateDict(file('x'), bad())],
    ['quantize', () => quantize(bad(), [x])],
    ['quantize, calibration', () => quantize(model, bad())],
    ['quantize, options', () => quantize(model, [x], bad())],
    ['quantize, bits', () => quantize(model, [x], { bits: bad() })],
    ['sensitivity', () => sensitivity(bad(), [x], () => 0)],
    ['verifyEquivalence', () => verifyEquivalence(model, bad())],
    ['verifyEquivalence, options', () => verifyEquivalence(model, model, bad())],
    ['Trainer', () => new Trainer(bad())],
    ['Trainer, options', () => new Trainer(createModel('qarepvgg_a0', tiny), bad())],
    ['Trainer.fit', () => new Trainer(createModel('qarepvgg_a0', tiny)).fit(bad(), { epochs: 1 })],
    ['Trainer.fit, options', () => new Trainer(createModel('qarepvgg_a0', tiny)).fit(images, bad())],
    ['evaluate', () => evaluate(bad(), images)],
    ['evaluate, data set', () => evaluate(model, bad())],
    ['Dataset', () => new Dataset(bad())],
    ['Dataset, dims', () => new Dataset({ ...images, dims: bad() })],
    ['Dataset, classes', () => new Dataset({ ...images, classes: bad() })],
    ['Dataset.subset', () => images.subset(bad())],
    ['Dataset.parts', () => images.parts(bad())],
    ['loadImageFolder', () => loadImageFolder(bad())],
    ['quantize, batch', () => quantize(model, [bad()])],
    ['quantize, images of a batch', () => quantize(model, [{ images: bad() }])],
    ['quantize, what a function returns', () => quantize(model, () => bad())],
    ['quantize, iterator', () => quantize(model, { [Symbol.iterator]: () => bad() })],
    ['quantize, asynchronous iterator', () => quantize(model, { [Symbol.asyncIterator]: () => bad() })],
    ['quantize, result of an iterator', () => quantize(model, { [Symbol.iterator]: () => ({ next: () => bad() }) })],
    [
      'quantize, value of an iterator',
      () => quantize(model, { [Symbol.iterator]: () => ({ next: () => ({ done: false, value: bad() }) }) }),
    ],
    ['QuantizedModel', () => new QuantizedModel(bad())],
    ['QuantizedModel, layers', () => new QuantizedModel({ layers: bad(), recipe: {} } as never)],
  ])('%s', async (_, call) => {
    await expectRejection((async () => call())(), 'ERR_INVALID_ARG', '');
  });
});

describe.each([undefined, null, 0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '2', 2n, {}])('%p', (bad) => {
  const other = bad as never;

  test('for a count of Dataset.parts is refused at once, and not when it is iterated', () => {
    expectRefusal(() => images.parts(other), 'ERR_INVALID_ARG', 'Dataset.parts, count: expected an integer from 1');
  });

  test('for a data set, for indices', () => {
    expectRefusal(() => new Dataset(other), 'ERR_INVALID_ARG', 'Dataset');
    expectRefusal(() => images.subset(other), 'ERR_INVALID_ARG', 'an array of indices');
    expectRefusal(() => images.subset([other, 1]), 'ERR_INVALID_ARG', 'index');
  });

  test('for an iterator, its next, or what that returns', async () => {
    for (const iterator of [
      other,
      { next: other },
      ...(typeof bad === 'object' && bad ? [] : [{ next: () => other }]),
    ]) {
      await expectRejection(quantize(model, { [Symbol.iterator]: () => iterator }), 'ERR_INVALID_ARG', 'iterator');
      await expectRejection(quantize(model, { [Symbol.asyncIterator]: () => iterator }), 'ERR_INVALID_ARG', 'iterator');
    }
  });
});

describe('a signal of the caller', () => {
  const signal = (own: object): AbortSignal =>
    ({ aborted: false, addEventListener: () => 0, removeEventListener: () => 0, ...own }) as unknown as AbortSignal;
  const throws = () => {
    throw new RangeError('of the caller');
  };
  const works = {
    run: async (signal: AbortSignal) =>
      bits((await (await InferenceSession.create(model)).run({ input: x }, { signal })).logits),
    quantize: async (signal: AbortSignal) => `${(await quantize(model, [x], { signal })).model}`,
    evaluate: async (signal: AbortSignal) => (await evaluate(model, images, { signal })).loss,
  };

  test.each(Object.entries(works))('whose removeEventListener throws does not spoil %s', async (_, work) => {
    const expected = await work(new AbortController().signal);
    expect(await work(signal({ removeEventListener: throws }))).toBe(expected);
  });

  test.each(Object.entries(works))('that throws is refused by %s', async (_, work) => {
    await expectRejection(work(signal({ addEventListener: throws })), 'ERR_INVALID_ARG', 'signal');
    const unreadable = signal({ aborted: true });
    Object.defineProperty(unreadable, 'reason', { get: throws });
    await expectRejection(work(unreadable), 'ERR_INVALID_ARG', 'signal');
  });
});

test('structuredClone and postMessage refuse what would be an empty object', async () => {
  const { model: int8 } = await quantize(model, [x]);
  const session = await InferenceSession.create(int8);
  const trainer = new Trainer(createModel('qarepvgg_a0', tiny));
  const relu = onnxFile({ inputs: { x: [1] }, outputs: ['y'], nodes: [['Relu', ['x'], ['y']]] });
  const other = await importOnnx<Model>(relu);
  for (const thing of [model, int8, other, session, trainer, new Conv2d({ inChannels: 1, outChannels: 1 })]) {
    expect(() => structuredClone(thing)).toThrow('could not be cloned');
    expect(() => new MessageChannel().port1.postMessage({ thing })).toThrow('could not be cloned');
    expect(JSON.parse(JSON.stringify({ thing }))).toEqual({ thing: `${thing}` });
  }
  session.dispose();
});

describe('a file above 4 GiB', () => {
  const size = 5 * 2 ** 30;
  /** Takes no space on the disk. */
  function sparse(name: string, start: Uint8Array): string {
    const handle = openSync(file(name), 'w');
    writeSync(handle, start);
    ftruncateSync(handle, size);
    closeSync(handle);
    return file(name);
  }
  const header = Buffer.from(
    JSON.stringify({
      a: { dtype: 'U8', shape: [size - 1032], data_offsets: [0, size - 1032] },
      __metadata__: { producer: 'qarepvgg', formatVersion: '1', form: 'deploy' },
    }).padEnd(1024),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(1024n);

  type Case = [string, (source: string) => Promise<unknown>, Buffer];
  const others: Case[] = [
    ['safetensors', loadStateDict, Buffer.concat([length, header])],
    ['a model', loadModel, Buffer.concat([length, header])],
    ['PyTorch', loadStateDict, Buffer.from('PK\x03\x04')],
  ];
  // Later versions of Node have no such limit, and would read all of it.
  const isLimited = constants.MAX_LENGTH < size;
  test.each<Case>([['ONNX', importOnnx, Buffer.from([8, 7])], ...(isLimited ? others : [])])(
    '%s',
    async (name, load, start) => {
      const error = await load(sparse(name, start)).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(QARepVGGError);
      expect(['ERR_LIMIT', 'ERR_MODEL_FORMAT', 'ERR_OUT_OF_MEMORY']).toContain((error as QARepVGGError).code);
    },
  );
});

describe('parts of a quantised model', () => {
  const bad: readonly unknown[] = [undefined, null, 7, -1, Number.NaN, 'text', 10n, Symbol('s'), {}, [], () => 0];
  const hostile = (): unknown[] => [revoked({}), revoked([]), throwing()];
  const throwing = () => ({
    get scale(): number {
      throw new Error('of the caller');
    },
  });

  test('whatever one of them is', async () => {
    const { layers, output, recipe, inChannels, flat, preprocessing, options } = (
      await quantize(model, [x], { quantizeLogits: true, keepFloat: ['stage1.0'] })
    ).model as QuantizedModel & { flat: boolean };
    const parts = { layers, output, recipe, inChannels, flat, preprocessing, network: options };
    expect(new QuantizedModel(parts)).toBeInstanceOf(QuantizedModel);
    const odd: string[] = [];
    const attempt = (where: string, changed: unknown): void => {
      try {
        new QuantizedModel(changed as never);
      } catch (error) {
        if (!(error instanceof QARepVGGError)) odd.push(`${where}: ${error}`);
      }
    };
    const vary = (value: unknown, where: string, put: (other: unknown) => unknown): void => {
      for (const other of [...bad, ...hostile()]) attempt(where, put(other));
      if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
      for (const [name, member] of Object.entries(value)) {
        vary(member, `${where}.${name}`, (other) => {
          const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
          copy[name] = other;
          return put(copy);
        });
      }
    };
    vary(parts, 'parts', (other) => other);
    expect(odd).toEqual([]);
  });
});
