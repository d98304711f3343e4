import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { InferenceSession, importOnnx, type Model, randn } from '../../lib';
import { temporaryFolder } from '../support/formats';
import { type ModelSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

const folder = temporaryFolder();

/** A convolution and the mean of what it makes, of images of any number and size; and what the pixels are as integers. */
const sketch: ModelSketch = {
  inputs: { images: ['n', 3, 'h', 'w'] },
  outputs: ['features', 'mean', 'whole'],
  tensors: { w: [[4, 3, 3, 3], randn([4, 3, 3, 3]).data as unknown as number[]] },
  nodes: [
    ['Conv', ['images', 'w'], ['c'], { pads: [1, 1, 1, 1] }],
    ['Relu', ['c'], ['features']],
    ['GlobalAveragePool', ['features'], ['p']],
    ['Flatten', ['p'], ['mean']],
    ['Cast', ['mean'], ['whole'], { to: 7 }],
  ],
};
const bytes = onnxFile(sketch);
const file = path.join(folder, 'model.onnx');
writeFileSync(file, bytes);

const create = (options = {}, source: string | Uint8Array | Model = file) => InferenceSession.create(source, options);
const images = (n: number, size = 8, seed = 1) => randn([n, 3, size, size], { seed });

test('a session of a file, of its bytes and of the model say what goes in and out', async () => {
  for (const source of [file, bytes, await importOnnx<Model>(file)]) {
    const session = await create({}, source);
    expect([session.inputNames, session.outputNames]).toEqual([['images'], ['features', 'mean', 'whole']]);
    expect(session.inputMetadata).toEqual([
      { name: 'images', isTensor: true, type: 'float32', shape: ['n', 3, 'h', 'w'] },
    ]);
    const { features, mean, whole } = await session.run({ images: images(2) });
    expect([features?.dims, mean?.dims, whole?.dims]).toEqual([
      [2, 4, 8, 8],
      [2, 4],
      [2, 4],
    ]);
    expect(whole?.data).toEqual(BigInt64Array.from(mean?.data as Float32Array, (value) => BigInt(Math.trunc(value))));
    session.dispose();
  }
});

test('each image is the same bits alone, in any batch and on any number of threads; sizes may change', async () => {
  const batch = images(5);
  const results: Float32Array[] = [];
  for (const threads of [1, 2]) {
    const session = await create({ threads, inputs: { images: [1, 3, 8, 8] } });
    const all = (await session.run({ images: batch })).features?.data as Float32Array;
    results.push(all);
    for (let i = 0; i < 5; i++) {
      const data = batch.data.slice(i * 192, (i + 1) * 192);
      const one = await session.run({ images: { data, dims: [1, 3, 8, 8] } });
      expect(one.features?.data).toEqual(all.slice(i * 256, (i + 1) * 256));
    }
    const other = await session.run({ images: images(1, 11) });
    expect(other.features?.dims).toEqual([1, 4, 11, 11]);
    session.dispose();
  }
  expect(results[0]).toEqual(results[1]);
});

test('runs of many sizes at once, each with what it was fed when it was called', async () => {
  const session = await create();
  const sizes = [3, 4, 5, 6, 7, 8, 9, 3, 8];
  const runs = sizes.map((size, i) => {
    const fed = images(1, size, i);
    const answer = session.run({ images: fed });
    const copy = fed.data.slice();
    fed.data.fill(0);
    return { answer, copy, size };
  });
  for (const { answer, copy, size } of runs) {
    const again = await session.run({ images: { data: copy, dims: [1, 3, size, size] } });
    expect((await answer).features?.data).toEqual(again.features?.data);
  }
  expect(session.memoryUsage().bytes).toBeGreaterThan(0);
  session.dispose();
});

test('outputs that are asked for, bytes of images, an abort', async () => {
  const session = await create({ preprocessing: { mean: [0, 0, 0], std: [1, 1, 1] } });
  const pixels = Uint8Array.from({ length: 5 * 4 * 3 }, (_, i) => i);
  // The engine multiplies bytes by 1 / 255, in float32.
  const floats = Float32Array.from(
    { length: 60 },
    (_, i) => ((i % 20) * 3 + Math.floor(i / 20)) * Math.fround(1 / 255),
  );
  const ofBytes = await session.run({ images: { data: pixels, dims: [1, 5, 4, 3] } }, ['mean']);
  const ofFloats = await session.run({ images: { data: floats, dims: [1, 3, 5, 4] } }, ['mean']);
  expect(Object.keys(ofBytes)).toEqual(['mean']);
  expect(ofBytes).toEqual(ofFloats);
  const controller = new AbortController();
  const run = session.run({ images: images(1, 64) }, { signal: controller.signal });
  controller.abort();
  await expectRejection(run, 'ERR_ABORTED', 'run');
  session.dispose();
});

test('an input with its channels last takes bytes, too', async () => {
  const pixels: ModelSketch = {
    ...sketch,
    inputs: { pixels: ['n', 'h', 'w', 3] },
    nodes: [['Transpose', ['pixels'], ['images'], { perm: [0, 3, 1, 2] }], ...sketch.nodes],
  };
  const preprocessing = { mean: [0.25, 0.5, 0], std: [0.5, 1, 2] };
  const session = await create({ preprocessing, inputs: { pixels: [1, 5, 4, 3] } }, onnxFile(pixels));
  expect(session.inputSize).toEqual([5, 4]);
  const dims = [2, 5, 4, 3];
  const data = Uint8Array.from({ length: 120 }, (_, i) => 2 * i);
  const { mean, std } = preprocessing;
  const floats = Float32Array.from(data, (byte, i) => (byte / 255 - (mean[i % 3] as number)) / (std[i % 3] as number));
  const ofBytes = await session.run({ pixels: { data, dims } });
  expect(ofBytes).toEqual(await session.run({ pixels: { data: floats, dims } }));
  await expectRejection(session.run({ pixels: { data, dims: [2, 3, 5, 4] } }), 'ERR_SHAPE', '[n, h, w, 3]');
  session.dispose();
  const model = (await importOnnx<Model>(onnxFile(pixels))).with({ preprocessing });
  expect(model.preprocessing).toEqual(preprocessing);
});

test('runSync: the bits of run, of sizes that are new, known or being compiled', async () => {
  const session = await create();
  for (const size of [8, 9, 8, 10, 11, 12, 13, 9]) {
    const feeds = { images: images(3, size, size) };
    const pending = session.run(feeds);
    const now = session.runSync(feeds);
    expect(now).toEqual(await pending);
    expect(session.runSync(feeds, ['mean'])).toEqual({ mean: now.mean });
  }
  expect(session.stats()).toMatchObject({ runs: 24, images: 72, queue: 0 });
  session.dispose();
  expect(() => session.runSync({ images: images(1) })).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }));
});

test('runs that wait together: each with its own result, aborted ones with none', async () => {
  const session = await create({ inputs: { images: [1, 3, 192, 192] } });
  const feeds = [0, 1, 2].map((seed) => ({ images: images(1, 192, seed) }));
  const expected = feeds.map((each) => session.runSync(each, ['mean']));
  // The first run keeps the queue busy, so that aborts find runs that wait; where this process gets no time to abort
  // meanwhile, the runs are done before, which is right too: then once more.
  let aborted = 0;
  for (let attempt = 0; attempt < 10 && aborted === 0; attempt++) {
    const before = session.run({ images: images(96, 192) }, ['mean']);
    const controllers = Array.from({ length: 40 }, () => new AbortController());
    const runs = controllers.map(({ signal }, i) => session.run(feeds[i % 3] as never, ['mean'], { signal }));
    for (const [i, controller] of controllers.entries()) if (i % 4 === 3) controller.abort();
    for (const [i, result] of (await Promise.allSettled(runs)).entries()) {
      if (i % 4 === 3 && result.status === 'rejected') {
        aborted++;
        expect(result.reason).toMatchObject({ code: 'ERR_ABORTED' });
      } else expect(result).toEqual({ status: 'fulfilled', value: expected[i % 3] });
    }
    await before;
  }
  expect(aborted).toBeGreaterThan(0);
  session.dispose();
});

test('a session that is disposed of while its runs wait: they finish', async () => {
  for (let i = 0; i < 10; i++) {
    const session = await create({ inputs: { images: [1, 3, 24, 24] } });
    const right = session.runSync({ images: images(2, 24) });
    const runs = Array.from({ length: 8 }, () => session.run({ images: images(2, 24) }));
    session.dispose();
    for (const result of await Promise.all(runs)) expect(result).toEqual(right);
  }
});

test('an input of images whose numbers are dims', async () => {
  const file = onnxFile({
    inputs: { x: [1, 1, 1, 2] },
    outputs: ['y'],
    tensors: { six: [[6], [1, 2, 3, 4, 5, 6]] },
    integers: { flat: [-1] },
    nodes: [
      ['Reshape', ['x', 'flat'], ['list']],
      ['Cast', ['list'], ['dims'], { to: 7 }],
      ['Reshape', ['six', 'dims'], ['y']],
    ],
  });
  const session = await InferenceSession.create(file);
  const feed = (...values: number[]) => ({ x: { data: Float32Array.from(values), dims: [1, 1, 1, 2] } });
  expect((await session.run(feed(2, 3))).y?.dims).toEqual([2, 3]);
  expect(session.runSync(feed(3, 2)).y?.dims).toEqual([3, 2]);
  session.dispose();
});

describe('refused', () => {
  test('feeds that do not fit', async () => {
    const session = await create();
    const run = (feeds: unknown) => session.run(feeds as never);
    await expectRejection(run({ input: images(1) }), 'ERR_INVALID_ARG', '"images"');
    await expectRejection(run({}), 'ERR_INVALID_ARG', 'no ["images"]');
    await expectRejection(
      run({ images: { data: new Int32Array(192), dims: [1, 3, 8, 8] } }),
      'ERR_DTYPE',
      'a Float32Array',
    );
    await expectRejection(run({ images: randn([1, 4, 8, 8]) }), 'ERR_SHAPE', '[n, 3, h, w]');
    await expectRejection(run({ images: randn([3, 8, 8]) }), 'ERR_SHAPE', '[n, 3, h, w]');
    await expectRejection(session.run({ images: images(1) }, ['logits']), 'ERR_INVALID_ARG', 'names among');
    expect(() => session.runSync({ images: randn([3, 8, 8]) })).toThrow('[n, 3, h, w]');
    session.dispose();
    await expect(run({ images: images(1) })).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  });

  test('dims that do not fit', async () => {
    await expectRejection(create({ inputs: { images: [1, 3, 8] } }), 'ERR_SHAPE', '[n, 3, h, w]');
    await expectRejection(create({ inputs: { other: [1] } }), 'ERR_INVALID_ARG', '"images"');
    await expectRejection(create({ inputs: { images: [1, 3, 0, 8] } }), 'ERR_SHAPE', '[n, 3, h, w]');
  });
});

test('a session of fixed dims keeps no tensors of the file, and leaves those of a model alone', async () => {
  const weights = randn([64, 32, 3, 3]).data as unknown as number[];
  const fixed = onnxFile({
    inputs: { x: [1, 32, 8, 8] },
    outputs: ['y'],
    tensors: { w: [[64, 32, 3, 3], weights] },
    nodes: [['Conv', ['x', 'w'], ['y']]],
  });
  const before = Uint8Array.from(fixed);
  const feeds = { x: randn([1, 32, 8, 8], { seed: 2 }) };
  const [ofFile, model] = [await create({}, fixed), await importOnnx<Model>(fixed)];
  const ofModel = await create({}, model);
  const { y } = await ofFile.run(feeds);
  expect(await ofFile.run(feeds)).toEqual({ y });
  expect(await ofModel.run(feeds)).toEqual({ y });
  // The tensors are still there.
  expect(await (await create({}, model)).run(feeds)).toEqual({ y });
  expect(fixed).toEqual(before);
  await expect(ofFile.run({ x: randn([2, 32, 8, 8]) })).rejects.toThrow(/dims/);
  await expect(ofFile.run({ x: randn([1, 32, 9, 9]) })).rejects.toThrow(/dims/);
  expect(await ofFile.run(feeds)).toEqual({ y });
});

test('the first two images of a batch are no image each of a batch of three', async () => {
  const firstTwo = onnxFile({
    inputs: { images: ['n', 3, 8, 8] },
    outputs: ['y'],
    integers: { starts: [0], ends: [2] },
    nodes: [
      ['Slice', ['images', 'starts', 'ends'], ['s']],
      ['Relu', ['s'], ['y']],
    ],
  });
  const session = await create({}, firstTwo);
  for (const [count, kept] of [
    [1, 1],
    [2, 2],
    [3, 2],
    [5, 2],
  ] as const) {
    const { y } = await session.run({ images: images(count) });
    expect(y?.dims).toEqual([kept, 3, 8, 8]);
  }
  session.dispose();
});

describe('weights times numbers for each channel', () => {
  const [w, s] = [randn([16, 16], { seed: 3 }).data, randn([16], { seed: 4 }).data];
  const ones = Float32Array.from({ length: 256 }, (_, i) => Number(i % 16 === Math.floor(i / 16)));
  /** Sixteen images of one pixel, of which each picks one input channel. */
  const picked = { x: { data: ones, dims: [16, 16, 1, 1] } };
  const of = (op: string, group: number, dims: number[]): ModelSketch => ({
    inputs: { x: ['n', 16, 1, 1] },
    outputs: ['y'],
    tensors: {
      w: [
        dims,
        [
          ...w.subarray(
            0,
            dims.reduce((a, b) => a * b),
          ),
        ],
      ],
      s: [[16, 1, 1], [...s]],
    },
    nodes: [
      [op, ['x', 'w'], ['a'], { group }],
      ['Mul', ['a', 's'], ['y']],
    ],
  });

  test.each([
    ['Conv', 1, [16, 16, 1, 1], (input: number, output: number) => output * 16 + input],
    ['Conv', 4, [16, 4, 1, 1], (input: number, output: number) => output * 4 + (input % 4)],
    ['ConvTranspose', 1, [16, 16, 1, 1], (input: number, output: number) => input * 16 + output],
    ['ConvTranspose', 4, [16, 4, 1, 1], (input: number, output: number) => input * 4 + (output % 4)],
  ] as const)('%s in %i groups: multiplied in double and rounded once', async (op, group, dims, at) => {
    const session = await create({}, onnxFile(of(op, group, [...dims])));
    const { y } = await session.run(picked);
    const expected = Float32Array.from({ length: 256 }, (_, i) => {
      const [input, output] = [Math.floor(i / 16), i % 16];
      const isJoined = Math.floor((input * group) / 16) === Math.floor((output * group) / 16);
      return isJoined ? (w[at(input, output)] as number) * (s[output] as number) : 0;
    });
    expect(y?.data).toEqual(expected);
  });

  test('weights of a file are multiplied where they are; those that several nodes read, in copies', async () => {
    const dims = [64, 64, 3, 3];
    const numbers = (dims: number[], seed: number) => randn(dims, { seed }).data as unknown as number[];
    const scaled = (weight: string, scale: string, output: string): ModelSketch['nodes'] => [
      ['Conv', ['x', weight], [`${output}/c`], { pads: [1, 1, 1, 1] }],
      ['Mul', [`${output}/c`, scale], [output]],
    ];
    const file = onnxFile({
      inputs: { x: [1, 64, 4, 4] },
      outputs: ['a', 'b', 'c', 'd'],
      tensors: {
        v: [dims, numbers(dims, 5)],
        w: [dims, numbers(dims, 6)],
        s: [[64, 1, 1], numbers([64, 1, 1], 7)],
        t: [[64, 1, 1], numbers([64, 1, 1], 8)],
      },
      nodes: [
        ...scaled('v', 's', 'a'),
        ...scaled('w', 's', 'b'),
        ...scaled('w', 't', 'c'),
        ['Conv', ['x', 'w'], ['d'], { pads: [1, 1, 1, 1] }],
      ],
    });
    const feeds = { x: randn([1, 64, 4, 4], { seed: 9 }) };
    // A model keeps its tensors, so they are copied.
    const [ofFile, ofModel] = [await create({}, file), await create({}, await importOnnx<Model>(file))];
    expect(await ofFile.run(feeds)).toEqual(await ofModel.run(feeds));
  });
});

test('a session for one size keeps packed weights alone, and takes any number of images', async () => {
  const weight = randn([64, 64, 3, 3], { seed: 5 }).data as unknown as number[];
  const wide: ModelSketch = {
    inputs: { x: ['n', 64, 4, 4] },
    outputs: ['y'],
    tensors: { w: [[64, 64, 3, 3], weight] },
    nodes: [['Conv', ['x', 'w'], ['y'], { pads: [1, 1, 1, 1] }]],
  };
  const path = `${folder}/wide.onnx`;
  writeFileSync(path, onnxFile(wide));
  const before = process.memoryUsage().arrayBuffers;
  const session = await create({}, path);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * weight.length);
  const x = randn([3, 64, 4, 4]);
  const { y } = await session.run({ x });
  const last = await session.run({ x: { data: x.data.slice(2048), dims: [1, 64, 4, 4] } });
  expect(last.y?.data).toEqual(y?.data.slice(2048));
});

test('a node that fits no open dims is named when the session is created', async () => {
  const wrong: ModelSketch = {
    inputs: { x: ['n', 3, 'h', 'w'] },
    outputs: ['y'],
    tensors: { a: [[4, 3, 1, 1], Array(12).fill(1)], b: [[2, 5, 1, 1], Array(10).fill(1)] },
    nodes: [
      ['Conv', ['x', 'a'], ['c']],
      ['Conv', ['c', 'b'], ['y']],
    ],
  };
  await expectRejection(InferenceSession.create(onnxFile(wrong)), 'ERR_SHAPE', 'node "y" (Conv)');
});

test('a graph that fits some sizes only is not refused when the session is created', async () => {
  const narrow: ModelSketch = {
    inputs: { x: ['n', 3, 'h', 'w'] },
    outputs: ['y'],
    integers: { flat: [-1, 12] },
    tensors: { m: [[12, 1], Array(12).fill(1)], one: [[1, 3, 2, 2], Array(12).fill(1)] },
    nodes: [
      ['Add', ['x', 'one'], ['s']],
      ['Reshape', ['s', 'flat'], ['f']],
      ['MatMul', ['f', 'm'], ['y']],
    ],
  };
  const session = await InferenceSession.create(onnxFile(narrow));
  const { y } = await session.run({ x: { data: new Float32Array(12), dims: [1, 3, 2, 2] } });
  session.dispose();
  expect(Array.from(y?.data ?? [], Number)).toEqual([12]);
});

test('a vector is multiplied by matrices that were transposed', async () => {
  const product: ModelSketch = {
    inputs: { x: [3], stack: [2, 2, 3] },
    outputs: ['y'],
    nodes: [
      ['Transpose', ['stack'], ['t'], { perm: [0, 2, 1] }],
      ['MatMul', ['x', 't'], ['y']],
    ],
  };
  const session = await create({}, onnxFile(product));
  const stack = { data: Float32Array.from({ length: 12 }, (_, i) => i), dims: [2, 2, 3] };
  const { y } = await session.run({ x: { data: Float32Array.of(1, 10, 100), dims: [3] }, stack });
  session.dispose();
  expect(y?.dims).toEqual([2, 2]);
  expect(Array.from(y?.data ?? [], Number)).toEqual([210, 543, 876, 1209]);
});
