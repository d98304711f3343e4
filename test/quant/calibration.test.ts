import {
  type Calibration,
  type CalibrationBatch,
  Dataset,
  type QuantizationProgress,
  type QuantizeOptions,
  quantize,
  randn,
  sensitivity,
  tensor,
} from '../../lib';
import { runIntegers } from '../support/integer';
import { batches, fingerprint, images, integerLayers, network, throwing } from '../support/quantizing';
import { expectRejection } from '../support/refusal';

describe('calibration', () => {
  const bytes = Uint8Array.from({ length: 6 * 17 * 17 * 2 }, (_, i) => (i * 7919) % 256);
  const dims = [17, 17, 2] as const;

  test('images in any form: arrays, generators, functions, floats, bytes, a Dataset', async () => {
    const dataset = new Dataset({ images: bytes, dims, labels: new Int32Array(6), classes: ['a'] });
    const expected = fingerprint((await quantize(network, dataset)).model);
    const { mean, std } = network.options.preprocessing;
    const floats = new Float32Array(bytes.length);
    for (let i = 0; i < bytes.length; i++) {
      const [image, pixel, channel] = [Math.floor(i / 578), Math.floor(i / 2) % 289, i % 2];
      floats[image * 578 + channel * 289 + pixel] =
        ((bytes[i] as number) / 255 - (mean[channel] as number)) / (std[channel] as number);
    }
    const byteBatch = { data: bytes, dims: [6, ...dims] };
    const floatBatch = tensor(floats, [6, 2, 17, 17]);
    function* generate() {
      yield byteBatch;
    }
    async function* stream() {
      for (let i = 0; i < 6; i += 2)
        yield { images: { data: bytes.subarray(i * 578, (i + 2) * 578), dims: [2, ...dims] } };
    }
    const forms = [[byteBatch], [{ images: byteBatch }], generate(), generate, stream(), stream, new Set([byteBatch])];
    for (const form of forms) expect(fingerprint((await quantize(network, form)).model)).toBe(expected);
    const fromFloats = await quantize(network, [floatBatch]);
    const [input, other] = [fromFloats.model, (await quantize(network, dataset)).model].map(
      (model) => integerLayers(model)[0]?.input,
    );
    expect(input?.scale).toBeCloseTo(other?.scale as number, 6);
  });

  test('is a stream: a batch is asked for when the one before has been used, and may be overwritten then', async () => {
    const memory = new Float32Array(4 * 578);
    const seen: number[] = [];
    async function* reused(): AsyncGenerator<CalibrationBatch> {
      for (const [i, seed] of [1, 2, 3].entries()) {
        expect(seen).toHaveLength(i);
        memory.set(images(seed).data);
        yield { data: memory, dims: [4, 2, 17, 17] };
      }
      memory.fill(Number.NaN);
    }
    const onProgress = ({ stage, images }: QuantizationProgress): void => {
      expect(stage).toBe('calibrate');
      seen.push(images);
    };
    const { model, report } = await quantize(network, reused(), { onProgress });
    expect(seen).toEqual([4, 8, 12]);
    expect(fingerprint(model)).toBe(fingerprint((await quantize(network, [images(1), images(2), images(3)])).model));
    expect(report.output.sqnr).toBeGreaterThan(20);
  });

  test('equalisation and bias correction go through it again, and say so where that cannot be', async () => {
    let opened = 0;
    const stages = new Set<string>();
    function* generate() {
      opened++;
      yield* batches;
    }
    const onProgress = ({ stage }: QuantizationProgress) => stages.add(stage);
    await quantize(network, generate, { equalize: true, biasCorrection: true, onProgress });
    expect([opened, [...stages]]).toEqual([3, ['equalize', 'calibrate', 'correct']]);
    for (const options of [{ equalize: true }, { biasCorrection: true }]) {
      await expectRejection(quantize(network, generate(), options), 'ERR_INVALID_ARG', 'allows one pass only');
    }
  });

  test.each<[string, unknown, string, string]>([
    ['nothing', undefined, 'ERR_INVALID_ARG', 'an iterable of images'],
    ['no images', [], 'ERR_INVALID_ARG', 'expected images, received none'],
    ['a number', 5, 'ERR_INVALID_ARG', 'received 5'],
    ['one tensor', images(1), 'ERR_INVALID_ARG', 'an iterable of images'],
    ['floats', new Float32Array(3), 'ERR_INVALID_ARG', 'an iterable of images'],
    ['numbers', [1, 2], 'ERR_INVALID_ARG', 'batch 0'],
    ['text', 'images', 'ERR_INVALID_ARG', 'an iterable of images'],
    [
      'other channels',
      [images(1), randn([1, 3, 17, 17])],
      'ERR_SHAPE',
      'batch 1, input "input": expected dims [N, 2, H, W]',
    ],
    ['three dims', [randn([2, 17, 17])], 'ERR_SHAPE', 'dims [N, 2, H, W]'],
    [
      'bytes in the order of floats',
      [{ data: new Uint8Array(578), dims: [1, 2, 17, 17] }],
      'ERR_SHAPE',
      '[n, h, w, 2]',
    ],
    ['too few numbers', [{ data: new Float32Array(5), dims: [1, 2, 17, 17] }], 'ERR_BUFFER_SIZE', '578'],
    ['doubles', [{ data: new Float64Array(578), dims: [1, 2, 17, 17] }], 'ERR_DTYPE', 'Float32Array'],
    [
      'NaN',
      [{ data: new Float32Array(578).fill(Number.NaN, 7, 8), dims: [1, 2, 17, 17] }],
      'ERR_NON_FINITE',
      'batch 0, "input"',
    ],
    [
      'Infinity',
      [{ data: new Float32Array(578).fill(-1 / 0, 7, 8), dims: [1, 2, 17, 17] }],
      'ERR_NON_FINITE',
      '-Infinity',
    ],
    [
      'more than floats can hold',
      [{ data: new Float32Array(578).fill(3e38), dims: [1, 2, 17, 17] }],
      'ERR_NON_FINITE',
      'output of layer stage0',
    ],
    ['a getter that throws', [Object.defineProperty({}, 'images', { get: throwing })], 'ERR_INVALID_ARG', 'throws'],
  ])('refused: %s', async (_, calibration, code, message) => {
    await expectRejection(quantize(network, calibration as never), code as never, message);
  });

  test.each<[string, QuantizeOptions, number]>([
    ['equalisation', { equalize: true }, 1],
    ['calibration after equalisation', { equalize: true }, 2],
    ['bias correction', { biasCorrection: true }, 2],
  ])('numbers that are not finite in the pass of %s alone', async (_, options, pass) => {
    const withValue = (value: number) => {
      const odd = images(1);
      odd.data.fill(value, 7, value > 0 ? 500 : 8);
      let passes = 0;
      return () => [images(2), ++passes === pass ? odd : images(1)];
    };
    await quantize(network, withValue(1), options);
    await expectRejection(quantize(network, withValue(Number.NaN), options), 'ERR_NON_FINITE', 'batch 1, "input"');
    await expectRejection(quantize(network, withValue(3e38), options), 'ERR_NON_FINITE', 'output of layer stage0');
  });

  test('what the stream throws comes through, and the stream is closed when something else goes wrong', async () => {
    const failure = new Error('the disk is on fire');
    function* failing() {
      yield images(1);
      throw failure;
    }
    await expect(quantize(network, failing)).rejects.toBe(failure);
    let closed = false;
    function* wrong() {
      try {
        yield randn([1, 3, 17, 17]);
        yield images(1);
      } finally {
        closed = true;
      }
    }
    await expectRejection(quantize(network, wrong), 'ERR_SHAPE', 'batch 0');
    expect(closed).toBe(true);
  });

  test('constant images: scales that can be computed with', async () => {
    for (const value of [0, 1, -1, 1e-30, 1e30]) {
      const constant = { data: new Float32Array(578).fill(value), dims: [1, 2, 17, 17] };
      const { model, report } = await quantize(network, [constant]);
      expect(runIntegers(model, constant).data.every(Number.isFinite)).toBe(true);
      expect(report.layers[0]?.min).toBe(Math.fround(value));
      const recipe = { method: 'entropy', equalize: true, biasCorrection: true } as const;
      const other = await quantize(network, [constant], recipe);
      expect(runIntegers(other.model, constant).data.every(Number.isFinite)).toBe(true);
    }
  });

  test('stops when told to', async () => {
    const reason = new Error('enough');
    const before = quantize(network, batches, { signal: AbortSignal.abort(reason) });
    await expect(before).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason });
    const controller = new AbortController();
    let asked = 0;
    function* endless() {
      for (;;) {
        asked++;
        yield images(asked, 1);
      }
    }
    const onProgress = (): void => controller.abort(reason);
    const during = quantize(network, endless, { signal: controller.signal, onProgress });
    await expect(during).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason });
    expect(asked).toBeLessThan(4);
  });

  test.each<QuantizeOptions>([
    { method: 'mse' },
    { method: 'entropy', equalize: true },
    { method: 'percentile', biasCorrection: true },
  ])('the event loop runs, and an abort is heard, when the last images have been looked at: %j', async (options) => {
    const reason = new Error('enough');
    const total = 15 * (1 + Number(options.equalize ?? false) + Number(options.biasCorrection ?? false));
    const attempt = async (turns: number) => {
      const controller = new AbortController();
      let seen = 0;
      let turn = 0;
      const count = (): void => {
        if (turn++ === turns) controller.abort(reason);
        else setImmediate(count);
      };
      let before = 0;
      const onProgress = ({ images: now }: QuantizationProgress): void => {
        seen += now - before;
        before = now === 15 ? 0 : now;
        if (seen === total) count();
      };
      await quantize(network, batches, { ...options, onProgress, signal: controller.signal });
    };
    // Ranges of nine values, weights of eight layers, the rows of the report: each lets the loop run.
    for (const turns of [0, 1, 5, 10, 20]) {
      await expect(attempt(turns)).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason });
    }
  });

  test('an abort ends the wait for a batch that does not come, and closes the stream', async () => {
    const reason = new Error('enough');
    const never = new Promise<never>(() => undefined);
    async function* stalled() {
      yield images(1);
      await never;
    }
    let closed = 0;
    const stream = () => ({
      [Symbol.asyncIterator]: () => ({
        next: () => never,
        return: async () => {
          closed++;
          throw new Error('nobody hears of this');
        },
      }),
    });
    const run = [
      (calibration: Calibration, signal: AbortSignal) => quantize(network, calibration, { signal }),
      (calibration: Calibration, signal: AbortSignal) => sensitivity(network, calibration, () => 0, { signal }),
    ];
    for (const start of run) {
      for (const calibration of [stalled, stream]) {
        const controller = new AbortController();
        const work = start(calibration, controller.signal);
        setTimeout(() => controller.abort(reason), 20);
        await expect(work).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason });
      }
    }
    expect(closed).toBe(2);
    const controller = new AbortController();
    const evaluate = () => {
      controller.abort(reason);
      return never;
    };
    const judging = sensitivity(network, batches, evaluate, { signal: controller.signal });
    await expect(judging).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason });
  });
});
