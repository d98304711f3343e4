import {
  type Algorithm,
  Conv2d,
  createModel,
  InferenceSession,
  type Module,
  QARepVGGBlock,
  randn,
  type SessionOptions,
  type Tensor,
} from '../../lib';
import { withSession } from '../../lib/runtime/with-session';
import { randomBlock } from '../support/blocks';
import { bits, relativeL2 } from '../support/compare';
import { detached, hostileData, hostileDims } from '../support/hostile';
import { deployNetwork, smallOptions } from '../support/networks';
import { expectRefusal, expectRejection } from '../support/refusal';

const algorithms: readonly Algorithm[] = ['auto', 'gemm', 'winograd'];
const network = deployNetwork('qarepvgg_b1g4');

/** The session's answer, and the module's own. */
async function both(module: Module, x: Tensor, options: SessionOptions = {}) {
  const session = await InferenceSession.create(module, options);
  const { logits } = await session.run({ input: x });
  session.dispose();
  return { logits, expected: module.forward(x) };
}

/** Images first to last of a batch. */
function slice({ data, dims }: Tensor, first: number, last: number): Tensor {
  const size = data.length / (dims[0] as number);
  return { data: data.slice(first * size, last * size), dims: [last - first, ...dims.slice(1)] };
}

describe('the answer is that of the model', () => {
  test.each(algorithms)('a network, %s', async (algorithm) => {
    const { logits, expected } = await both(network, randn([3, 3, 32, 32]), { algorithm });
    expect(logits.dims).toEqual([3, 10]);
    expect(logits.dims).toEqual(expected.dims);
    expect(relativeL2(logits.data, expected.data)).toBeLessThan(algorithm === 'gemm' ? 2e-6 : 2e-5);
  });

  test.each(algorithms)('squeeze-and-excitation, %s', async (algorithm) => {
    const model = deployNetwork('qarepvgg_d2se', smallOptions);
    const { logits, expected } = await both(model, randn([2, 3, 32, 32]), { algorithm });
    expect(relativeL2(logits.data, expected.data)).toBeLessThan(2e-5);
  });

  test.each([
    { inChannels: 3, outChannels: 16, stride: 2 },
    { inChannels: 64, outChannels: 64 },
    { inChannels: 64, outChannels: 64, groups: 2 },
    { inChannels: 33, outChannels: 35, activation: 'none' },
    { inChannels: 40, outChannels: 40, dilation: 2 },
    { inChannels: 1, outChannels: 1 },
  ] as const)('a block, $inChannels -> $outChannels', async (options) => {
    const block = randomBlock(options, 3, { minVariance: 0.5, maxVariance: 2 }).switchToDeploy();
    for (const algorithm of algorithms) {
      const { logits, expected } = await both(block, randn([2, options.inChannels, 15, 18]), { algorithm });
      expect(logits.dims).toEqual(expected.dims);
      expect(relativeL2(logits.data, expected.data)).toBeLessThan(2e-5);
    }
  });

  test.each([
    { inChannels: 5, outChannels: 7, kernelSize: 1, bias: false },
    { inChannels: 3, outChannels: 8, padding: 3, stride: 2 },
    { inChannels: 48, outChannels: 48, activation: 'relu' },
    { inChannels: 96, outChannels: 64, groups: 32, padding: 1, dilation: 1 },
  ] as const)('a convolution, $inChannels -> $outChannels', async (options) => {
    for (const algorithm of algorithms) {
      const { logits, expected } = await both(new Conv2d(options), randn([2, options.inChannels, 9, 12]), {
        algorithm,
      });
      expect(logits.dims).toEqual(expected.dims);
      expect(relativeL2(logits.data, expected.data)).toBeLessThan(2e-5);
    }
  });
});

describe('with stride 2', () => {
  // Odd sizes end in the halo, small ones in a tile that hangs over the border.
  const sizes = [
    [1, 1],
    [2, 3],
    [5, 8],
    [7, 7],
    [13, 15],
    [28, 28],
    [27, 33],
    [58, 3],
  ] as const;
  const [inChannels, seed] = [64, 4];

  test.each([
    { outChannels: 16, groups: 1 },
    { outChannels: 96, groups: 1 },
    { outChannels: 192, groups: 2 },
    { outChannels: 64, groups: 4 },
  ])("'winograd', $outChannels channels, $groups groups", async (shape) => {
    const conv = new Conv2d({ inChannels, ...shape, stride: 2, padding: 1, activation: 'relu', seed });
    const expected = sizes.map(([height, width]) => conv.forward(randn([3, inChannels, height, width], { seed })));
    const results = new Set<string>();
    for (const threads of [1, 2, 3, 7]) {
      const session = await InferenceSession.create(conv, { algorithm: 'winograd', threads });
      for (const [i, [height, width]] of sizes.entries()) {
        const x = randn([3, inChannels, height, width], { seed });
        const { logits } = await session.run({ input: x });
        const { data, dims } = expected[i] as Tensor;
        expect(logits.dims).toEqual(dims);
        expect(relativeL2(logits.data, data)).toBeLessThan(2e-6);
        results.add(`${i}: ${bits(logits)}`);
        const last = await session.run({ input: slice(x, 2, 3) });
        expect(bits(last.logits)).toBe(bits(slice(logits, 2, 3)));
      }
      session.dispose();
    }
    expect(results.size).toBe(sizes.length);
  });

  test.each([
    [96, 28, true],
    [96, 27, true],
    [96, 26, false],
    [80, 28, false],
  ])("to %i channels, images of %i: 'auto' is Winograd: %p", async (outChannels, inputSize, isWinograd) => {
    const conv = new Conv2d({ inChannels, outChannels, stride: 2, padding: 1, seed });
    const x = randn([1, inChannels, inputSize, inputSize], { seed });
    const [auto, gemm, winograd] = await Promise.all(
      algorithms.map((algorithm) =>
        withSession(conv, { algorithm, inputSize }, async (session) => bits((await session.run({ input: x })).logits)),
      ),
    );
    expect(winograd).not.toBe(gemm);
    expect(auto).toBe(isWinograd ? winograd : gemm);
  });
});

describe('the same bits', () => {
  const x = randn([7, 3, 32, 32], { seed: 5 });

  test.each(algorithms)('whatever runs beside an image, however many threads, each time, %s', async (algorithm) => {
    const results = new Set<string>();
    for (const threads of [1, 2, 3, 7]) {
      const session = await InferenceSession.create(network, { algorithm, threads });
      results.add(bits((await session.run({ input: x })).logits));
      results.add(bits(session.runSync({ input: x }).logits));
      // Any split of the batch, the parts at the same time.
      const parts = [slice(x, 0, 1), slice(x, 1, 3), slice(x, 3, 7)];
      const outputs = await Promise.all(parts.map(async (input) => (await session.run({ input })).logits));
      const data = Float32Array.from(outputs.flatMap((output) => [...output.data]));
      results.add(bits({ data, dims: [7, 10] }));
      session.dispose();
    }
    expect(results.size).toBe(1);
  });

  test('whatever maxBatch is', async () => {
    const results = new Set<string>();
    for (const maxBatch of [1, 2, 3, 64]) {
      const session = await InferenceSession.create(network, { maxBatch });
      results.add(bits((await session.run({ input: x })).logits));
      session.dispose();
    }
    expect(results.size).toBe(1);
  });
});

describe('images', () => {
  test('of other sizes than the nominal one, in turn', async () => {
    const session = await InferenceSession.create(network, { inputSize: [24, 40] });
    const sizes = [
      [32, 32],
      [24, 40],
      [1, 1],
      [65, 33],
      [7, 90],
      [48, 16],
      [32, 32],
    ] as const;
    for (const [i, [height, width]] of [...sizes, ...sizes].entries()) {
      const x = randn([1 + (i % 3), 3, height, width], { seed: i });
      const { logits } = await session.run({ input: x });
      expect(relativeL2(logits.data, network.forward(x).data)).toBeLessThan(2e-5);
    }
    session.dispose();
  });

  test('of 8 bits, channels last: the same as floats that went through the preprocessing', async () => {
    const bytes = Uint8Array.from({ length: 2 * 20 * 24 * 3 }, (_, i) => (i * 89) % 256);
    const own = network.options.preprocessing;
    for (const preprocessing of [undefined, { mean: [0, 0.5, 0.25], std: [1, 0.5, 2] }]) {
      const session = await InferenceSession.create(network, preprocessing ? { preprocessing } : {});
      const input = { data: bytes, dims: [2, 20, 24, 3] };
      const { mean, std } = preprocessing ?? own;
      const floats = new Float32Array(bytes.length);
      bytes.forEach((byte, i) => {
        const [image, pixel, c] = [Math.floor(i / 1440), Math.floor(i / 3) % 480, i % 3];
        floats[(image * 3 + c) * 480 + pixel] = (byte / 255 - (mean[c] as number)) / (std[c] as number);
      });
      const { logits } = await session.run({ input });
      const expected = session.runSync({ input: { data: floats, dims: [2, 3, 20, 24] } }).logits;
      expect(logits.dims).toEqual([2, 10]);
      expect(relativeL2(logits.data, expected.data)).toBeLessThan(2e-6);
      expect(bits(session.runSync({ input }).logits)).toBe(bits(logits));
      session.dispose();
    }
  });

  test('of one channel', async () => {
    const model = deployNetwork('qarepvgg_a0', { ...smallOptions, inChannels: 1 });
    const session = await InferenceSession.create(model);
    const bytes = Uint8Array.from({ length: 28 * 28 }, (_, i) => i % 256);
    const floats = Float32Array.from(bytes, (byte) => (byte / 255 - 0.5) / 0.5);
    const { logits } = await session.run({ input: { data: bytes, dims: [1, 28, 28, 1] } });
    expect(relativeL2(logits.data, model.forward({ data: floats, dims: [1, 1, 28, 28] }).data)).toBeLessThan(2e-5);
    session.dispose();
  });

  test('are copied before run returns', async () => {
    const session = await InferenceSession.create(network);
    const x = randn([4, 3, 32, 32]);
    const right = bits(session.runSync({ input: x }).logits);
    const pending = Array.from({ length: 4 }, () => session.run({ input: x }));
    x.data.fill(Number.NaN);
    detached(x.data);
    for (const run of pending) expect(bits((await run).logits)).toBe(right);
    session.dispose();
  });

  test('NaN comes through, of one image alone', async () => {
    const session = await InferenceSession.create(network, { algorithm: 'gemm' });
    const x = randn([2, 3, 32, 32]);
    const clean = session.runSync({ input: x }).logits;
    x.data[5] = Number.NaN;
    const { logits } = await session.run({ input: x });
    expect(logits.data.slice(0, 10).every(Number.isNaN)).toBe(true);
    expect(bits(slice(logits, 1, 2))).toBe(bits(slice(clean, 1, 2)));
    session.dispose();
  });
});

test('the session has copied the weights', async () => {
  const model = deployNetwork();
  const x = randn([1, 3, 32, 32]);
  const creating = InferenceSession.create(model);
  const right = bits(model.forward(x));
  for (const { data } of Object.values(model.parameters())) data.fill(0);
  const session = await creating;
  const gemm = await InferenceSession.create(deployNetwork(), { algorithm: 'gemm' });
  expect(relativeL2(session.runSync({ input: x }).logits.data, gemm.runSync({ input: x }).logits.data)).toBeLessThan(
    2e-5,
  );
  expect(bits(model.forward(x))).not.toBe(right);
  session.dispose();
  gemm.dispose();
});

test('names are those of the ONNX file', async () => {
  const session = await InferenceSession.create(network);
  expect(session.inputNames).toEqual(['input']);
  expect(session.outputNames).toEqual(['logits']);
  expect(session.memoryUsage().bytes).toBeGreaterThan(4 * 100_000);
  session.dispose();
});

describe('refused', () => {
  test.each([
    ['a network in train form', createModel('qarepvgg_a0', smallOptions).eval()],
    ['a block in train form', new QARepVGGBlock({ inChannels: 8, outChannels: 8 }).eval()],
    [
      'a block in partial form',
      new QARepVGGBlock({ inChannels: 8, outChannels: 8 }).eval().switchToDeploy({ keepPostBn: true }),
    ],
    [
      'a block of one branch and a batch norm',
      new QARepVGGBlock({ inChannels: 8, outChannels: 16, stride: 2 }).eval().switchToDeploy({ keepPostBn: true }),
    ],
  ])('%s, with advice', async (_, model) => {
    await expectRejection(InferenceSession.create(model), 'ERR_MODEL_INCOMPATIBLE', 'switchToDeploy()');
  });

  test.each([
    ['threads', 0, 'an integer from 1'],
    ['threads', -1, 'an integer from 1'],
    ['threads', 1e9, 'an integer from 1'],
    ['threads', Number.NaN, 'an integer from 1'],
    ['threads', '4', 'an integer from 1'],
    ['algorithm', 'fft', '"auto" or "gemm" or "winograd"'],
    ['inputSize', 0, 'a side from 1'],
    ['inputSize', [224], 'a side from 1'],
    ['inputSize', [224, 224, 3], 'a side from 1'],
    ['inputSize', [224, 2.5], 'a side from 1'],
    ['maxBatch', 0, 'an integer from 1'],
    ['preprocessing', { mean: [0], std: [1] }, '3 finite numbers'],
    ['preprocessing', null, 'received null'],
    ['preprocessing', { mean: [0, 0, 0], std: [1, 0, 1] }, 'above 0'],
    ['batch', 1, 'only threads'],
  ])('option %s: %p', async (name, value, message) => {
    const options = { [name]: value } as SessionOptions;
    await expectRejection(InferenceSession.create(network, options), 'ERR_INVALID_ARG', message);
  });

  test('an inputSize that the kernel does not fit into', async () => {
    const conv = new Conv2d({ inChannels: 1, outChannels: 1, dilation: 4 });
    await expectRejection(InferenceSession.create(conv, { inputSize: 8 }), 'ERR_SHAPE', '8 x 8');
  });

  test('a session that is lent is disposed of, whatever happens', async () => {
    const lent: InferenceSession[] = [];
    const use = async (session: InferenceSession): Promise<number> => {
      lent.push(session);
      if (lent.length > 1) throw new Error('on purpose');
      return session.memoryUsage().bytes;
    };
    expect(await withSession(network, {}, use)).toBeGreaterThan(0);
    await expect(withSession(network, {}, use)).rejects.toThrow('on purpose');
    for (const session of lent)
      expectRefusal(
        () => session.memoryUsage(),
        'ERR_DISPOSED',
        'InferenceSession.memoryUsage: session has been disposed',
      );
  });

  test('things that are no models and no options', async () => {
    for (const thing of [undefined, null, {}, 7, network.stateDict()]) {
      await expectRejection(InferenceSession.create(thing as never), 'ERR_INVALID_ARG', 'InferenceSession.create');
    }
    await expectRejection(InferenceSession.create(network, null as never), 'ERR_INVALID_ARG', 'an object');
  });

  describe('images', () => {
    let session: InferenceSession;
    let right: string;
    const good = randn([1, 3, 2, 4]);
    beforeAll(async () => {
      session = await InferenceSession.create(new Conv2d({ inChannels: 3, outChannels: 4, kernelSize: 1 }));
      right = bits(session.runSync({ input: good }).logits);
    });
    afterAll(() => session.dispose());

    async function refuses(input: unknown, code: Parameters<typeof expectRejection>[1], message: string) {
      await expectRejection(session.run({ input } as never), code, message);
      await expectRejection((async () => session.runSync({ input } as never))(), code, message);
      expect(bits(session.runSync({ input: good }).logits)).toBe(right);
    }

    test.each(hostileDims)('dims: %s', async (_, code, message, make) => {
      await refuses({ data: new Float32Array(24), dims: make() }, code, message);
    });

    // Bytes are welcome here, 96 of them are not.
    test.each(hostileData)('data: %s', async (title, code, message, make) => {
      const areBytes = title === 'bytes' || title.startsWith('a Buffer');
      const expected = areBytes ? (['ERR_BUFFER_SIZE', 'received 96'] as const) : ([code, message] as const);
      await refuses({ data: make(), dims: areBytes ? [1, 2, 4, 3] : [1, 3, 2, 4] }, ...expected);
    });

    test.each([
      ['no batch', 'ERR_SHAPE', 'dims[0]', { data: new Float32Array(0), dims: [0, 3, 2, 4] }],
      ['three dims', 'ERR_SHAPE', '[N, 3, H, W]', { data: new Float32Array(24), dims: [3, 2, 4] }],
      ['another number of channels', 'ERR_SHAPE', '[N, 3, H, W]', { data: new Float32Array(24), dims: [1, 4, 2, 3] }],
      ['bytes with channels first', 'ERR_SHAPE', '[n, h, w, 3]', { data: new Uint8Array(24), dims: [1, 3, 2, 4] }],
      ['shared bytes', 'ERR_BUFFER_SHARED', 'Shared', { data: sharedBytes(), dims: [1, 2, 4, 3] }],
      ['detached bytes', 'ERR_BUFFER_DETACHED', 'detached', { data: detachedBytes(), dims: [1, 2, 4, 3] }],
      ['nothing', 'ERR_INVALID_ARG', 'under the names ["input"]', undefined],
      ['null', 'ERR_INVALID_ARG', 'a tensor', null],
    ] as const)('%s', async (_, code, message, input) => {
      await refuses(input, code, message);
    });

    test('bytes for more than four channels', async () => {
      const wide = await InferenceSession.create(new Conv2d({ inChannels: 5, outChannels: 1, kernelSize: 1 }));
      const ofBytes = await wide.run({ input: { data: Uint8Array.of(0, 255, 0, 255, 0), dims: [1, 1, 1, 5] } });
      const ofFloats = await wide.run({ input: { data: Float32Array.of(-1, 1, -1, 1, -1), dims: [1, 5, 1, 1] } });
      expect(ofBytes).toEqual(ofFloats);
      wide.dispose();
    });

    test('too small for the kernel', async () => {
      const conv = await InferenceSession.create(new Conv2d({ inChannels: 1, outChannels: 1 }));
      await expectRejection(conv.run({ input: randn([1, 1, 2, 9]) }), 'ERR_SHAPE', '2 x 9');
      conv.dispose();
    });

    test('feeds and options that are none', async () => {
      await expectRejection(session.run(undefined as never), 'ERR_INVALID_ARG', 'an object { input }');
      await expectRejection(session.run({ input: good }, { signal: {} } as never), 'ERR_INVALID_ARG', 'an AbortSignal');
      await expectRejection(session.run({ input: good }, { sig: 1 } as never), 'ERR_INVALID_ARG', 'only signal');
      const throwing = {
        get input() {
          throw new RangeError('thrown by the caller');
        },
      };
      await expectRejection(session.run(throwing as never), 'ERR_INVALID_ARG', 'throws');
      await expectRejection(session.run({ input: good, mask: good } as never), 'ERR_INVALID_ARG', 'mask');
    });
  });
});

function sharedBytes(): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(24));
}

function detachedBytes(): Uint8Array {
  const bytes = new Uint8Array(24);
  structuredClone(bytes, { transfer: [bytes.buffer] });
  return bytes;
}
