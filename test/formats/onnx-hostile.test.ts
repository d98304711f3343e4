import { type ErrorCode, InferenceSession, importOnnx, type Model } from '../../lib';
import { jsonOf } from '../support/child';
import { type ModelSketch, type NodeSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

const base: ModelSketch = {
  inputs: { x: [1, 2, 6, 6] },
  outputs: ['y'],
  tensors: { w: [[3, 2, 3, 3], Array(54).fill(0.5)], b: [[3], [1, 2, 3]] },
  nodes: [['Conv', ['x', 'w', 'b'], ['y'], { pads: [1, 1, 1, 1] }]],
};

async function run(more: Partial<ModelSketch>, dims = [1, 2, 6, 6]) {
  const session = await InferenceSession.create(onnxFile({ ...base, ...more }));
  try {
    const length = dims.reduce((product, dim) => product * dim, 1);
    return await session.run({ x: { data: new Float32Array(length).fill(1), dims } });
  } finally {
    session.dispose();
  }
}

describe('what contradicts itself is refused by the name of the node', () => {
  test.each<[string, Partial<ModelSketch>, ErrorCode, string]>([
    ['weights of other channels', { inputs: { x: [1, 5, 6, 6] } }, 'ERR_SHAPE', 'node "y" (Conv)'],
    ['a bias of another length', { tensors: { ...base.tensors, b: [[2], [1, 2]] } }, 'ERR_SHAPE', 'a bias of 3'],
    [
      'a kernel larger than the image',
      { inputs: { x: [1, 2, 1, 1] }, nodes: [['Conv', ['x', 'w'], ['y']]] },
      'ERR_SHAPE',
      'node "y" (Conv)',
    ],
    [
      'a kernel_shape that is not that of the weights',
      { nodes: [['Conv', ['x', 'w'], ['y'], { kernel_shape: [5, 5] }]] },
      'ERR_SHAPE',
      'kernel_shape',
    ],
    ['a list that is too short', { nodes: [['Conv', ['x', 'w'], ['y'], { pads: [1] }]] }, 'ERR_SHAPE', 'pads'],
    ['a stride of 0', { nodes: [['Conv', ['x', 'w'], ['y'], { strides: [0, 1] }]] }, 'ERR_SHAPE', 'strides'],
    ['groups that do not divide', { nodes: [['Conv', ['x', 'w'], ['y'], { group: 7 }]] }, 'ERR_SHAPE', '7 groups'],
    [
      'an attribute of another type',
      { nodes: [['Conv', ['x', 'w'], ['y'], { group: 'two' }]] },
      'ERR_MODEL_FORMAT',
      '"y" (Conv: attribute group',
    ],
    [
      'an attribute that is not known',
      { nodes: [['Conv', ['x', 'w'], ['y'], { magic: 1 }]] },
      'ERR_MODEL_FORMAT',
      'magic',
    ],
    [
      'a cycle',
      {
        nodes: [
          ['Add', ['x', 'q'], ['p']],
          ['Relu', ['p'], ['q']],
          ['Relu', ['q'], ['y']],
        ],
      },
      'ERR_MODEL_FORMAT',
      'depends on it',
    ],
    [
      'an input that nothing makes',
      { nodes: [['Relu', ['nowhere'], ['y']]] },
      'ERR_MODEL_FORMAT',
      'which no node computes',
    ],
    [
      'a name twice',
      {
        nodes: [
          ['Relu', ['x'], ['y']],
          ['Abs', ['x'], ['y']],
        ],
      },
      'ERR_MODEL_FORMAT',
      'defines y a second time',
    ],
    ['dims that do not fit together', { nodes: [['Add', ['x', 'w'], ['y']]] }, 'ERR_SHAPE', 'broadcast'],
    [
      'a reshape to another size',
      { integers: { to: [7, 7] }, nodes: [['Reshape', ['x', 'to'], ['y']]] },
      'ERR_SHAPE',
      'node "y" (Reshape)',
    ],
    [
      'an axis that is not there',
      { nodes: [['Softmax', ['x'], ['y'], { axis: 9 }]] },
      'ERR_SHAPE',
      'an axis from -4 to 3',
    ],
  ])('%s', async (_, more, code, message) => {
    await expectRejection(run(more), code, message);
  });
});

describe('sizes that no machine has are refused before memory is taken', () => {
  const large: [string, NodeSketch[], Record<string, number[]>][] = [
    ['Expand', [['Expand', ['x', 'to'], ['y']]], { to: [2 ** 20, 2, 2 ** 10, 2 ** 10] }],
    ['Tile', [['Tile', ['x', 'to'], ['y']]], { to: [2 ** 15, 2 ** 15, 1, 1] }],
    [
      'Tile',
      [
        ['Tile', ['x', 'to'], ['t']],
        ['Tile', ['t', 'to'], ['y']],
      ],
      { to: [2 ** 5, 2 ** 5, 2 ** 4, 1] },
    ],
    ['Expand', [['Expand', ['b', 'to'], ['y']]], { to: [2 ** 13, 2 ** 13, 3] }],
    ['Resize', [['Resize', ['x', '', '', 'to'], ['y']]], { to: [1, 2, 2 ** 14, 2 ** 13] }],
    [
      'ConstantOfShape',
      [
        ['ConstantOfShape', ['to'], ['c']],
        ['Add', ['x', 'c'], ['y']],
      ],
      { to: [2 ** 40] },
    ],
    ['Pad', [['Pad', ['x', 'to'], ['y']]], { to: [0, 0, 2 ** 30, 2 ** 30, 0, 0, 2 ** 30, 2 ** 30] }],
  ];
  test.each(large)('%s', async (name, nodes, integers) => {
    const before = process.memoryUsage().rss;
    const error = await run({ nodes, integers }).catch((caught: { code?: string; message: string }) => caught);
    expect(error).toMatchObject({
      code: expect.stringMatching(/^ERR_(LIMIT|SHAPE)$/),
      message: expect.stringContaining(name),
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 28);
  });

  test('a region of Resize that ends before it begins', async () => {
    const nodes: NodeSketch[] = [
      ['Resize', ['x', 'region', 'scales'], ['y'], { coordinate_transformation_mode: 'tf_crop_and_resize' }],
    ];
    const tensors = { region: [[8], [0, 0, 1, 0, 1, 1, 0, 1]], scales: [[4], [1, 1, 2, 2]] } as const;
    await expectRejection(
      run({ tensors, nodes }),
      'ERR_SHAPE',
      '"y" (Resize): expected dims from 1, received [1, 2, -12',
    );
  });

  test('Range', async () => {
    const tensors = { low: [[], [0]], high: [[], [1e30]], step: [[], [1]] } as ModelSketch['tensors'];
    const nodes: NodeSketch[] = [
      ['Range', ['low', 'high', 'step'], ['r']],
      ['Add', ['x', 'r'], ['y']],
    ];
    await expectRejection(run({ tensors: tensors ?? {}, nodes }), 'ERR_SHAPE', 'node "r" (Range)');
  });
});

test('weights that are not finite are refused by the name of the node', async () => {
  const values = Array<number>(54).fill(0.5);
  values[20] = Number.NaN;
  await expectRejection(
    run({ tensors: { ...base.tensors, w: [[3, 2, 3, 3], values] } }),
    'ERR_NON_FINITE',
    'node "y" (Conv), "w": expected finite numbers, received NaN at 20',
  );
});

test('other constants may be infinite', async () => {
  const tensors = { mask: [[6], [0, 0, 0, 0, 0, Number.NEGATIVE_INFINITY]] } as const;
  const nodes: NodeSketch[] = [
    ['Add', ['x', 'mask'], ['masked']],
    ['Softmax', ['masked'], ['y']],
  ];
  const { y } = await run({ tensors, nodes });
  expect(Array.from(y?.data ?? [], Number).slice(4, 6)).toEqual([expect.closeTo(0.2), 0]);
});

test('a small file does not fill the memory with constants', async () => {
  const names = Array.from({ length: 40 }, (_, i) => `c${i}`);
  const nodes: NodeSketch[] = [
    ...names.map((name): NodeSketch => ['ConstantOfShape', ['d'], [name]]),
    ['Concat', names, ['all'], { axis: 0 }],
    ['ReduceMax', ['all'], ['m'], { keepdims: 0 }],
    ['Add', ['x', 'm'], ['y']],
  ];
  const before = process.memoryUsage().rss;
  await expectRejection(run({ nodes, integers: { d: [2 ** 20] } }), 'ERR_LIMIT', 'in computed constants');
  expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 29);
});

test('positions outside are refused where they are constants', async () => {
  const integers = { i: [2] };
  await expectRejection(
    run({ nodes: [['Gather', ['x', 'i'], ['y'], { axis: 1 }]], integers }),
    'ERR_SHAPE',
    '"y" (Gather)',
  );
});

test('10,000 nodes are read, and computed or refused, in a few seconds', async () => {
  const nodes = Array.from(
    { length: 10_000 },
    (_, i): NodeSketch => [i % 2 === 0 ? 'Tanh' : 'Neg', [i === 0 ? 'x' : `v${i - 1}`], [i === 9_999 ? 'y' : `v${i}`]],
  );
  const start = performance.now();
  const model = await importOnnx<Model>(onnxFile({ ...base, nodes }));
  expect(model.summary().nodes).toHaveLength(10_000);
  const outcome = await run({ nodes }).then(
    ({ y }) => y?.dims.join(),
    (error: { code?: string }) => error.code,
  );
  expect(['1,2,6,6', 'ERR_LIMIT']).toContain(outcome);
  expect(performance.now() - start).toBeLessThan(20_000);
});

test('files with some bytes changed are computed or refused, by errors of this package', () => {
  const { outcomes, odd } = jsonOf<{ outcomes: Record<string, number>; odd: string[] }>([
    'test/support/mutated-graphs.mjs',
    '0',
    '50',
  ]);
  expect(odd).toEqual([]);
  expect(outcomes.ERR_MODEL_FORMAT).toBeGreaterThan(100);
  expect(outcomes.computed).toBeGreaterThan(20);
});
