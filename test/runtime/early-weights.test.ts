import { setImmediate } from 'node:timers/promises';
import { InferenceSession, importOnnx, type Model, randn } from '../../lib';
import { addon } from '../../lib/binding';
import { runNode } from '../support/child';
import { type ModelSketch, type NodeSketch, onnxFile } from '../support/onnx-files';

const random = (seed: number, ...dims: number[]) => [dims, [...randn(dims, { seed }).data]] as const;

const tensors: NonNullable<ModelSketch['tensors']> = {
  stem: random(1, 32, 3, 3, 3),
  w: random(2, 32, 32, 3, 3),
  v: random(3, 32, 32, 3, 3),
  pointwise: random(4, 160, 32, 1, 1),
  bias: random(5, 32),
  factor: random(6, 32, 1, 1),
};
const padded = { pads: [1, 1, 1, 1] };

const head: NodeSketch[] = [
  ['Conv', ['x', 'stem'], ['a'], padded],
  ['Conv', ['a', 'w', 'bias'], ['b'], padded],
  ['Relu', ['b'], ['c']],
];
const tail: NodeSketch[] = [['Conv', ['e', 'pointwise'], ['y']]];

/** How many convolutions a call lets the compute thread pack before passes. */
async function countEarly<T>(work: () => Promise<T>): Promise<[T, number]> {
  const spy = jest.spyOn(addon, 'packEarly');
  try {
    return [await work(), spy.mock.calls.flatMap(([{ nodes }]) => nodes).length];
  } finally {
    spy.mockRestore();
  }
}

test.each<[string, number, NodeSketch[]]>([
  ['a weight is used twice', 3, [['Conv', ['c', 'w', 'bias'], ['e'], padded]]],
  [
    'a pass multiplies a weight',
    1,
    [
      ['Conv', ['c', 'v'], ['d'], padded],
      ['Mul', ['d', 'factor'], ['e']],
    ],
  ],
  // The convolution is packed first, because only a pass finds out.
  [
    'a pass multiplies a weight after all',
    2,
    [
      ['Conv', ['c', 'v'], ['d'], padded],
      ['Identity', ['d'], ['i']],
      ['Mul', ['i', 'factor'], ['e']],
    ],
  ],
  [
    'a pass adds a residual',
    3,
    [
      ['Conv', ['c', 'v'], ['d'], padded],
      ['Add', ['d', 'a'], ['e']],
    ],
  ],
  [
    'a pass merges branches',
    2,
    [
      ['Conv', ['c', 'v'], ['d'], padded],
      ['Conv', ['c', 'w'], ['f'], padded],
      ['Add', ['d', 'f'], ['e']],
    ],
  ],
  [
    'a pass merges branches after all',
    4,
    [
      ['Conv', ['c', 'v'], ['d'], padded],
      ['Conv', ['c', 'w'], ['f'], padded],
      ['Identity', ['f'], ['g']],
      ['Add', ['d', 'g'], ['e']],
    ],
  ],
])('a session of a file computes the same as one of its model if %s', async (_, count, nodes) => {
  const sketch = { inputs: { x: ['n', 3, 24, 24] }, outputs: ['y'], tensors, nodes: [...head, ...nodes, ...tail] };
  const file = onnxFile(sketch);
  const feeds = { x: randn([2, 3, 24, 24], { seed: 7 }) };
  const [theirs, none] = await countEarly(async () => InferenceSession.create(await importOnnx<Model>(file)));
  expect(none).toBe(0); // the caller may change the model's tensors meanwhile
  const [ours, early] = await countEarly(() => InferenceSession.create(file));
  expect(early).toBe(count);
  expect(ours.runSync(feeds)).toEqual(theirs.runSync(feeds));
});

test('a session of a file whose convolutions do not fit is refused as ever', async () => {
  const nodes: NodeSketch[] = [...head, ['Conv', ['c', 'pointwise'], ['e']], ['Conv', ['e', 'w'], ['y']]];
  const file = onnxFile({ inputs: { x: ['n', 3, 24, 24] }, outputs: ['y'], tensors, nodes });
  await expect(InferenceSession.create(file)).rejects.toMatchObject({ code: 'ERR_SHAPE' });
});

test('weights that cannot be packed early are packed with the session', async () => {
  const file = onnxFile({ inputs: { x: ['n', 3, 24, 24] }, outputs: ['c'], tensors, nodes: head });
  const spy = jest.spyOn(addon, 'packEarly');
  spy.mockImplementation((spec) => {
    spy.mockRestore();
    const nodes = spec.nodes.map((node) => ({ ...node, op: 'unknown' }));
    return addon.packEarly({ ...spec, nodes });
  });
  const session = await InferenceSession.create(file);
  const model = await importOnnx<Model>(file);
  const feeds = { x: randn([1, 3, 24, 24], { seed: 8 }) };
  expect(session.runSync(feeds)).toEqual((await InferenceSession.create(model)).runSync(feeds));
});

test('nothing frees the tensors before they are packed', async () => {
  // All of the file's weights are merged, so the session does not take them.
  const nodes: NodeSketch[] = [
    ['Conv', ['x', 'w'], ['a'], padded],
    ['Conv', ['x', 'v'], ['b'], padded],
    ['Identity', ['b'], ['c']],
    ['Add', ['a', 'c'], ['y']],
  ];
  const file = onnxFile({ inputs: { x: ['n', 32, 24, 24] }, outputs: ['y'], tensors, nodes });
  const release = jest.spyOn(addon, 'releaseMemory');
  const spy = jest.spyOn(addon, 'packEarly');
  let finish = () => {};
  spy.mockImplementation((spec) => {
    spy.mockRestore();
    const early = addon.packEarly(spec);
    const later = new Promise<void>((resolve) => {
      finish = resolve;
    });
    return { ...early, done: early.done.then(() => later) };
  });
  await InferenceSession.create(file);
  expect(release).not.toHaveBeenCalled();
  finish();
  await setImmediate();
  expect(release).toHaveBeenCalledTimes(1);
  release.mockRestore();
});

test('early weights keep their arrays alive, and are freed with their session', () => {
  const script = `
    const { addon } = require('./dist/binding');
    const { setImmediate } = require('node:timers/promises');
    const type = 'float32';
    const image = { type, dims: [1, 512, 8, 8] };
    const attributes = { kernel: [1, 1], strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 };
    const conv = { op: 'conv', name: '', inputs: [0, 1], outputs: [image], attributes };
    const specOf = (data) => ({
      inputs: [image],
      constants: [{ type, dims: [512, 512, 1, 1], data }],
      nodes: [conv],
      outputs: [2],
      independent: false,
      algorithm: 'auto',
      threads: 0,
    });
    const pack = () => {
      const data = new Float32Array(2 ** 18);
      return [addon.packEarly(specOf(data)), new WeakRef(data)];
    };
    const collect = async () => {
      for (let i = 0; i < 4; i++) {
        await setImmediate();
        gc();
      }
    };
    (async () => {
      const [early, array] = pack();
      await early.done;
      await collect();
      const lives = array.deref() !== undefined;
      // Without garbage collections.
      const residents = [];
      for (let i = 0; i < 100; i++) {
        const data = new Float32Array(2 ** 18);
        const early = addon.packEarly(specOf(data));
        await early.done;
        const session = await addon.createSession({ ...specOf(data), early });
        session.dispose();
        addon.releaseMemory(data.buffer);
        if (i % 50 === 9) residents.push(process.memoryUsage().rss / 2 ** 20);
      }
      const [first, last] = residents;
      console.log(JSON.stringify([early.done !== undefined && lives, last - first]));
    })();`;
  const { stdout, stderr, status } = runNode(['--expose-gc', '-e', script]);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  const [lives, growth] = JSON.parse(stdout) as [boolean, number];
  expect(lives).toBe(true);
  expect(growth).toBeLessThan(20); // of 50 MiB
});
