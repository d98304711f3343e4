import { isIndependent } from '../../lib/graph/independent';
import { specialize } from '../../lib/graph/specialize';
import { graphOf, type ModelSketch, type NodeSketch } from '../support/onnx-files';

const image = [4, 6, 6];

/** Tensors that nodes of the tests read, by name. */
const tensors: NonNullable<ModelSketch['tensors']> = {
  weight: [[4, 4, 3, 3], Array(144).fill(0.5)],
  list: [[4], [1, 2, 3, 4]],
  plane: [
    [4, 1, 1],
    [1, 2, 3, 4],
  ],
  image: [[1, ...image], Array(144).fill(1)],
  matrix: [[6, 5], Array(30).fill(1)],
  row: [[6], Array(6).fill(1)],
  one: [[], [0.1]],
};

/** Lists of integers, by name. */
const integers: Readonly<Record<string, readonly number[]>> = {
  flat: [0, -1],
  all: [-1],
  halves: [2, 2],
  twice: [2, 1, 1, 1],
  wide: [1, 1, 1, 2],
  outside: [0, 0, 1, 1, 0, 0, 1, 1],
  more: [1, 0, 0, 0, 0, 0, 0, 0],
  zero: [0],
  first: [1],
  last: [3],
  two: [2],
  end: [2 ** 40],
};

async function independent(nodes: readonly NodeSketch[]): Promise<boolean> {
  const sketch: ModelSketch = { inputs: { x: ['n', ...image] }, outputs: ['y'], nodes, tensors, integers };
  const graph = await graphOf(sketch);
  const of = (n: number) => specialize(graph, new Map([['x', [n, ...image]]]));
  return isIndependent(of(1), of(2));
}

const node = (op: string, inputs: string[], attributes = {}): NodeSketch => [op, inputs, ['y'], attributes];
const zeros: NodeSketch[] = [
  ['Shape', ['x'], ['dims']],
  ['ConstantOfShape', ['dims'], ['zeros']],
];
const summed: NodeSketch = ['ReduceSum', ['x', 'zero'], ['sum'], { keepdims: 1 }];

test.each<[string, NodeSketch[]]>([
  ['a convolution', [node('Conv', ['x', 'weight'])]],
  ['pooling', [node('MaxPool', ['x'], { kernel_shape: [2, 2] })]],
  ['a mean of each channel', [node('GlobalAveragePool', ['x'])]],
  ['a function of one number', [node('Sigmoid', ['x'])]],
  ['a sum with an image', [node('Add', ['x', 'image'])]],
  ['a sum with a number for each channel', [node('Add', ['plane', 'x'])]],
  ['a batch norm', [node('BatchNormalization', ['x', 'list', 'list', 'list', 'list'])]],
  ['rounding', [node('QuantizeLinear', ['x', 'one'])]],
  ['dims that keep the images', [node('Reshape', ['x', 'flat'])]],
  ['another order of the other axes', [node('Transpose', ['x'], { perm: [0, 3, 1, 2] })]],
  ['an axis of an image', [node('Softmax', ['x'], { axis: 1 })]],
  ['a normal distribution along an axis of an image', [node('LayerNormalization', ['x', 'row'], { axis: -1 })]],
  ['Gelu', [node('Gelu', ['x'])]],
  ['parts of an image', [['Split', ['x', 'halves'], ['y', 'z'], { axis: 1 }]]],
  ['images side by side', [node('Concat', ['x', 'x'], { axis: 3 })]],
  ['a part of each image', [node('Slice', ['x', 'first', 'last', 'two'])]],
  ['all images', [node('Slice', ['x', 'zero', 'end', 'zero'])]],
  ['padding of images', [node('Pad', ['x', 'outside'])]],
  ['repetition of pixels', [node('Tile', ['x', 'wide'])]],
  ['a sum over pixels', [node('ReduceSum', ['x', 'two'])]],
  ['a product with a matrix', [node('MatMul', ['x', 'matrix'])]],
  ['products of stacks', [node('MatMul', ['x', 'x'])]],
])('%s computes each image alone', async (_, nodes) => {
  expect(await independent(nodes)).toBe(true);
});

test.each<[string, NodeSketch[]]>([
  ['a sum over images', [summed, node('Sub', ['x', 'sum'])]],
  ['a softmax over images', [node('Softmax', ['x'], { axis: 0 })]],
  ['another order of the images', [node('Transpose', ['x'], { perm: [1, 0, 2, 3] })]],
  ['images in one list', [node('Reshape', ['x', 'all'])]],
  ['the first image', [node('Slice', ['x', 'zero', 'first', 'zero'])]],
  ['the first two images', [node('Slice', ['x', 'zero', 'two', 'zero'])]],
  ['repetition of images', [node('Tile', ['x', 'twice'])]],
  ['an image more', [node('Pad', ['x', 'more'])]],
  ['an image of zeros beside them', [node('Concat', ['x', 'image'], { axis: 0 })]],
  ['a constant beside them', [...zeros, node('Concat', ['x', 'zeros'], { axis: 1 })]],
  ['a sum with as many constants', [...zeros, node('Add', ['x', 'zeros'])]],
  ['a running sum over images', [node('CumSum', ['x', 'zero'])]],
  ['positions of the images', [node('ArgMax', ['x'], { axis: 0, keepdims: 1 })]],
])('%s does not', async (_, nodes) => {
  expect(await independent(nodes)).toBe(false);
});
