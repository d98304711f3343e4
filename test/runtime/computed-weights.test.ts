import { InferenceSession, randn } from '../../lib';
import { relativeL2 } from '../support/compare';
import { graphOf, type ModelSketch, type NodeSketch, onnxFile } from '../support/onnx-files';

const ones = (...dims: number[]) => [dims, Array(dims.reduce((a, b) => a * b)).fill(1)] as const;

/** A row and a square. */
const matrices: NonNullable<ModelSketch['tensors']> = {
  a: [
    [1, 2],
    [2, 3],
  ],
  b: [
    [2, 2],
    [1, 2, 3, 4],
  ],
};

/** A convolution whose weights the nodes compute, under the name w. */
const sketchOf = (
  nodes: NodeSketch[],
  tensors: NonNullable<ModelSketch['tensors']>,
  more: Partial<ModelSketch> = {},
) => ({
  inputs: { x: ['n', 2, 'h', 'w'] },
  outputs: ['y'],
  tensors,
  ...more,
  nodes: [...nodes, ['Conv', ['x', 'w'], ['y']] as NodeSketch],
});

test.each<[string, NodeSketch[], NonNullable<ModelSketch['tensors']>, Record<string, number[]>, number[]]>([
  [
    'a product of matrices',
    [
      ['MatMul', ['a', 'b'], ['ab']],
      ['Reshape', ['ab', 'dims'], ['w']],
    ],
    matrices,
    { dims: [1, 2, 1, 1] },
    [11, 16],
  ],
  [
    'Gemm',
    [
      ['Gemm', ['a', 'b', 'c'], ['ab'], { alpha: 2 }],
      ['Reshape', ['ab', 'dims'], ['w']],
    ],
    {
      ...matrices,
      c: [[2], [1, 0]],
    },
    { dims: [1, 2, 1, 1] },
    [23, 32],
  ],
  [
    'Softmax',
    [['Softmax', ['v'], ['w'], { axis: 1 }]],
    {
      v: [
        [1, 2, 1, 1],
        [0, Math.log(3)],
      ],
    },
    {},
    [0.25, 0.75],
  ],
  [
    'Pad, as a block with a branch of 1x1 has it',
    [
      ['Pad', ['v', 'pads'], ['wide']],
      ['Add', ['wide', 'v3'], ['w']],
    ],
    {
      v: [
        [1, 2, 1, 1],
        [5, 7],
      ],
      v3: ones(1, 2, 3, 1),
    },
    { pads: [0, 0, 1, 0, 0, 0, 1, 0] },
    [1, 6, 1, 1, 8, 1],
  ],
  [
    'BatchNormalization',
    [['BatchNormalization', ['v', 'two', 'one', 'zero', 'one'], ['w'], { epsilon: 3 }]],
    {
      v: [
        [1, 2, 1, 1],
        [5, 7],
      ],
      two: [[2], [2, 4]],
      one: ones(2),
      zero: [[2], [0, 1]],
    },
    {},
    [6, 13],
  ],
  [
    'BatchNormalization in training, which standardises them,',
    [['BatchNormalization', ['v', 'two', 'one', 'zero', 'one'], ['w'], { epsilon: 0.0001, training_mode: 1 }]],
    {
      v: [
        [1, 2, 2, 1],
        [3, 5, 7, 1],
      ],
      two: [[2], [2, 4]],
      one: ones(2),
      zero: ones(2),
    },
    {},
    [-1, 3, 5, -3],
  ],
  [
    'means, maxima and a convolution',
    [
      ['Conv', ['v', 'k'], ['c']],
      ['MaxPool', ['c'], ['p'], { kernel_shape: [2, 1] }],
      ['GlobalAveragePool', ['v'], ['g']],
      ['Add', ['p', 'g'], ['w']],
    ],
    {
      v: [
        [1, 2, 2, 1],
        [1, 2, 3, 4],
      ],
      k: [
        [2, 2, 1, 1],
        [1, 0, 0, -1],
      ],
    },
    {},
    [3.5, 0.5],
  ],
])('weights that are %s of constants', async (_, nodes, tensors, integers, expected) => {
  const sketch = sketchOf(nodes, tensors, { integers });
  const graph = await graphOf(sketch);
  expect(graph.nodes.map(({ op }) => op).at(-1)).toBe('conv');
  const session = await InferenceSession.create(onnxFile(sketch));
  // Each channel and pixel alone shows one weight.
  const height = expected.length / 2;
  const x = new Float32Array(expected.length * expected.length);
  expected.forEach((__, i) => {
    x[i * expected.length + i] = 1;
  });
  const { y } = await session.run({ x: { data: x, dims: [expected.length, 2, height, 1] } });
  expect(y?.dims).toEqual([expected.length, 1, 1, 1]);
  Array.from(y?.data ?? [], Number).forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i] as number, 3);
  });
  session.dispose();
});

test('computed weights are constants of the model; nodes that nothing needs them for stay', async () => {
  const nodes: NodeSketch[] = [
    ['Transpose', ['v'], ['t']],
    ['MatMul', ['v', 't'], ['product']],
    ['Reshape', ['product', 'dims'], ['w']],
  ];
  const graph = await graphOf(sketchOf(nodes, { v: ones(2, 2) }, { integers: { dims: [2, 2, 1, 1] } }));
  expect(graph.nodes.map(({ op }) => op)).toEqual(['reshape', 'conv']);
  expect(graph.tensors.get('product')).toEqual({ type: 'float32', dims: [2, 2], data: Float32Array.of(2, 2, 2, 2) });
});

test('what is much larger than the file is not computed in advance', async () => {
  const nodes: NodeSketch[] = [
    ['MatMul', ['column', 'row'], ['large']],
    ['Add', ['x', 'large'], ['y']],
  ];
  const tensors = { column: ones(2 ** 13, 1), row: ones(1, 2 ** 13) };
  const graph = await graphOf({ inputs: { x: [1] }, outputs: ['y'], nodes, tensors });
  expect(graph.nodes.map(({ op }) => op)).toEqual(['matMul', 'add']);
});

// As PyTorch writes the weights of a module that is called twice.
test('weights under two names stay until all of them are packed', async () => {
  const channels = 64;
  const [dims, x] = [[channels, channels, 3, 3], randn([1, channels, 8, 8])];
  const sketch = (again: NodeSketch[], second: string): ModelSketch => ({
    inputs: { x: x.dims },
    outputs: ['y'],
    tensors: { w: [dims, Array.from(randn(dims, { seed: 1 }).data)] },
    nodes: [...again, ['Conv', ['x', 'w'], ['a']], ['Tanh', ['a'], ['b']], ['Conv', ['b', second], ['y']]],
  });
  const run = async (file: Uint8Array): Promise<Float32Array> => {
    const session = await InferenceSession.create(file, { algorithm: 'gemm' });
    const { y } = await session.run({ x });
    session.dispose();
    return y?.data as Float32Array;
  };
  const twice = await run(onnxFile(sketch([['Identity', ['w'], ['same']]], 'same')));
  expect(relativeL2(twice, await run(onnxFile(sketch([], 'w'))))).toBe(0);
});
