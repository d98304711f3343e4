import { settledConvolutions } from '../../lib/graph/settled-convolutions';
import { specialize } from '../../lib/graph/specialize';
import { graphOf, type ModelSketch, type NodeSketch } from '../support/onnx-files';

const filled = (...dims: number[]) => [dims, Array(dims.reduce((a, b) => a * b)).fill(0.5)] as const;

const tensors: NonNullable<ModelSketch['tensors']> = {
  w: filled(32, 32, 3, 3),
  pointwise: filled(128, 32, 1, 1),
  depthwise: filled(32, 1, 3, 3),
  small: filled(2, 32, 1, 1),
  image: filled(512, 3, 3, 3),
  line: filled(32, 32, 5),
  bias: filled(32),
  one: filled(1),
};
const integers = { pads: [0, 0, 1, 1, 0, 0, 1, 1] };
const images = [1, 32, 8, 8];
const padded = { pads: [1, 1, 1, 1] };

/** Names of outputs of the convolutions that are found. */
async function found(nodes: NodeSketch[], dims: number[]) {
  const outputs = [(nodes.at(-1) as NodeSketch)[2][0] as string];
  const graph = await graphOf({ inputs: { x: dims }, outputs, nodes, tensors, integers });
  const settled = settledConvolutions(specialize(graph, new Map([['x', dims]])));
  return settled?.nodes.map((node) => node.outputs[0]);
}

test('finds convolutions between nodes that leave them alone, without their bias', async () => {
  const nodes: NodeSketch[] = [
    ['Conv', ['x', 'w', 'bias'], ['a'], padded],
    ['Sigmoid', ['a'], ['gate']],
    ['Mul', ['a', 'gate'], ['b']],
    ['Conv', ['b', 'w'], ['c'], padded],
    ['Add', ['c', 'a'], ['d']],
    ['Conv', ['d', 'pointwise'], ['y']],
  ];
  expect(await found(nodes, images)).toEqual(['a', 'c', 'y']);
  const graph = await graphOf({ inputs: { x: ['n', 32, 8, 8] }, outputs: ['y'], nodes, tensors });
  const settled = settledConvolutions(specialize(graph, new Map([['x', [2, 32, 8, 8]]])));
  expect(settled?.inputs).toEqual(['x', 'b', 'd'].map((name) => ({ name, type: 'float32', dims: [2, 32, 8, 8] })));
  expect(settled?.nodes.map(({ inputs }) => inputs)).toEqual([
    ['x', 'w'],
    ['b', 'w'],
    ['d', 'pointwise'],
  ]);
});

test.each<[string, NodeSketch[], number[]]>([
  [
    'a factor behind it',
    [
      ['Conv', ['x', 'w'], ['a'], padded],
      ['Mul', ['a', 'one'], ['y']],
    ],
    images,
  ],
  [
    'padding before it',
    [
      ['Pad', ['x', 'pads'], ['a']],
      ['Conv', ['a', 'w'], ['y']],
    ],
    images,
  ],
  [
    'a depthwise convolution before it',
    [
      ['Conv', ['x', 'depthwise'], ['a'], { group: 32 }],
      ['Conv', ['a', 'pointwise'], ['y']],
    ],
    images,
  ],
  [
    'what it reads added',
    [
      ['Conv', ['x', 'w'], ['a'], padded],
      ['Add', ['x', 'a'], ['y']],
    ],
    images,
  ],
  [
    'another one added',
    [
      ['Conv', ['x', 'w'], ['a'], padded],
      ['Conv', ['x', 'w'], ['b'], padded],
      ['Add', ['a', 'b'], ['y']],
    ],
    images,
  ],
  ['few weights', [['Conv', ['x', 'small'], ['y']]], images],
  ['three channels', [['Conv', ['x', 'image'], ['y']]], [1, 3, 8, 8]],
  ['lines', [['Conv', ['x', 'line'], ['y']]], [1, 32, 8]],
])('leaves out a convolution with %s', async (_, nodes, dims) => {
  expect(await found(nodes, dims)).toBeUndefined();
});
