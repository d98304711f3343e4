import { within } from '../../lib/errors';
import { specialize } from '../../lib/graph/specialize';
import { listOf } from '../../lib/graph/tensors';
import { graphOf, type ModelSketch } from '../support/onnx-files';

const x = [1, 3, 8, 8];

async function run(sketch: ModelSketch, dims: Readonly<Record<string, readonly number[]>> = { x }) {
  return within('test', async () => specialize(await graphOf(sketch), new Map(Object.entries(dims))));
}

/** Dims of the output of one node on `x`. */
async function outputDims(
  op: string,
  options: Partial<ModelSketch> & {
    attributes?: Record<string, number | string | number[]>;
    more?: string[];
    dims?: number[];
  } = {},
) {
  const { attributes = {}, more = [], dims = x, ...rest } = options;
  const graph = await run(
    {
      inputs: { x: dims.map((_, i) => `d${i}`) },
      outputs: ['y'],
      nodes: [[op, ['x', ...more], ['y'], attributes]],
      ...rest,
    },
    { x: dims },
  );
  return graph.values.get('y')?.dims;
}

const weights = (...dims: number[]) => ({ w: [dims, Array(dims.reduce((a, b) => a * b)).fill(1)] as const });

describe('dims of outputs', () => {
  test.each([
    [{}, [1, 4, 6, 6]],
    [{ pads: [1, 1, 1, 1] }, [1, 4, 8, 8]],
    [{ pads: [0, 0, 1, 1], strides: [2, 2] }, [1, 4, 4, 4]],
    [{ auto_pad: 'SAME_UPPER', strides: [3, 3] }, [1, 4, 3, 3]],
    [{ dilations: [2, 1] }, [1, 4, 4, 6]],
  ])('Conv %j', async (attributes, expected) => {
    expect(await outputDims('Conv', { attributes, more: ['w'], tensors: weights(4, 3, 3, 3) })).toEqual(expected);
  });

  test.each([
    [{ strides: [2, 2] }, [1, 5, 17, 17]],
    [{ strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] }, [1, 5, 16, 16]],
    [{ strides: [2, 2], output_shape: [16, 16] }, [1, 5, 16, 16]],
    [{ strides: [2, 2], auto_pad: 'SAME_UPPER' }, [1, 5, 16, 16]],
  ])('ConvTranspose %j', async (attributes, expected) => {
    expect(await outputDims('ConvTranspose', { attributes, more: ['w'], tensors: weights(3, 5, 3, 3) })).toEqual(
      expected,
    );
  });

  test('pooling rounds up when asked to, and begins no window in the padding behind', async () => {
    const attributes = { kernel_shape: [2, 2], strides: [3, 3] };
    expect(await outputDims('MaxPool', { attributes })).toEqual([1, 3, 3, 3]);
    const behind = { kernel_shape: [1, 1], strides: [4, 4], pads: [0, 0, 1, 1], ceil_mode: 1 };
    expect(await outputDims('MaxPool', { attributes: behind })).toEqual([1, 3, 2, 2]);
    expect(await outputDims('MaxPool', { attributes: { ...attributes, ceil_mode: 1 }, dims: [1, 3, 9, 9] })).toEqual([
      1, 3, 3, 3,
    ]);
  });

  test.each([
    ['scales', ['', 'f'], [1, 3, 16, 12]],
    ['sizes', ['', '', 'i'], [1, 3, 20, 5]],
  ])('Resize by %s', async (_, more, expected) => {
    const given = { more, tensors: { f: [[4], [1, 1, 2, 1.5]] as const }, integers: { i: [1, 3, 20, 5] } };
    expect(await outputDims('Resize', given)).toEqual(expected);
  });
});

describe('older opsets', () => {
  test('attributes that have become inputs', async () => {
    expect(await outputDims('Squeeze', { opset: 11, attributes: { axes: [0] } })).toEqual([3, 8, 8]);
    expect(await outputDims('Slice', { opset: 9, attributes: { starts: [2], ends: [2 ** 53], axes: [3] } })).toEqual([
      1, 3, 8, 6,
    ]);
    expect(await outputDims('Pad', { opset: 10, attributes: { pads: [0, 0, 1, 2, 0, 0, 3, 4] } })).toEqual([
      1, 3, 12, 14,
    ]);
    expect(await outputDims('ReduceSum', { opset: 11, attributes: { axes: [-1], keepdims: 0 } })).toEqual([1, 3, 8]);
  });

  test('Softmax over all axes from one on is flattened around', async () => {
    const graph = await run({ opset: 11, inputs: { x }, outputs: ['y'], nodes: [['Softmax', ['x'], ['y']]] });
    expect(graph.nodes.map(({ op }) => op)).toEqual(['flatten', 'softmax', 'reshape']);
    expect(graph.values.get('y')?.dims).toEqual(x);
  });

  test('a sum of three becomes two additions', async () => {
    const graph = await run({ inputs: { x }, outputs: ['y'], nodes: [['Sum', ['x', 'x', 'x'], ['y']]] });
    expect(graph.nodes.map(({ op, inputs }) => [op, inputs])).toEqual([
      ['add', ['x', 'x']],
      ['add', ['y/0', 'x']],
    ]);
  });
});

test('what follows from the dims of inputs is a constant', async () => {
  const graph = await run(
    {
      inputs: { x: ['n', 3, 'h', 'w'] },
      outputs: ['y'],
      integers: { one: [1], zero: [0], two: [2], four: [4], rest: [-1] },
      nodes: [
        ['Shape', ['x'], ['s']],
        ['Gather', ['s', 'zero'], ['n']],
        ['Slice', ['s', 'two', 'four'], ['hw']],
        ['Mul', ['hw', 'two'], ['hw2']],
        ['Cast', ['hw2'], ['f'], { to: 1 }],
        ['Floor', ['f'], ['g']],
        ['Cast', ['g'], ['i'], { to: 7 }],
        ['Concat', ['n', 'rest', 'i'], ['d'], { axis: 0 }],
        ['ConstantOfShape', ['d4'], ['zeros']],
        ['Equal', ['d', 'rest'], ['e']],
        ['Where', ['e', 'one', 'd'], ['d4']],
        ['Add', ['x4', 'zeros'], ['y']],
        ['Tile', ['x', 'repeats'], ['x2']],
        ['Slice', ['x2', 'zero', 'one', 'one'], ['x4']],
        ['Concat', ['one', 'one', 'two', 'two'], ['repeats'], { axis: 0 }],
      ],
    },
    { x: [2, 3, 4, 5] },
  );
  expect(graph.nodes.map(({ op }) => op)).toEqual(['tile', 'slice', 'add']);
  expect(listOf(graph.tensors.get('d4') as never)).toEqual([2, 1, 8, 10]);
  expect(graph.values.get('y')?.dims).toEqual([2, 1, 8, 10]);
});
