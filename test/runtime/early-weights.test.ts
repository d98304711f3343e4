import { InferenceSession, importOnnx, type Model, randn } from '../../lib';
import { addon } from '../../lib/binding';
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
      ['Add', ['d', 'c'], ['e']],
    ],
  ],
  [
    'a pass merges branches',
    4,
    [
      ['Conv', ['c', 'v'], ['d'], padded],
      ['Conv', ['c', 'w'], ['f'], padded],
      ['Add', ['d', 'f'], ['e']],
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
