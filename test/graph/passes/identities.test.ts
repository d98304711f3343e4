import type { NodeSketch } from '../../support/onnx-files';
import { passes, tensors } from '../../support/passes';

describe('identities', () => {
  test.each<[string, NodeSketch[]]>([
    [
      'Identity',
      [
        ['Identity', ['x'], ['a']],
        ['Relu', ['a'], ['y']],
      ],
    ],
    [
      'Identity at the end',
      [
        ['Relu', ['x'], ['a']],
        ['Identity', ['a'], ['y']],
      ],
    ],
    [
      'Dropout',
      [
        ['Dropout', ['x'], ['a']],
        ['Relu', ['a'], ['y']],
      ],
    ],
    [
      'Cast to the same type',
      [
        ['Cast', ['x'], ['a'], { to: 1 }],
        ['Relu', ['a'], ['y']],
      ],
    ],
    [
      'two transpositions',
      [
        ['Transpose', ['x'], ['a'], { perm: [0, 2, 3, 1] }],
        ['Transpose', ['a'], ['b'], { perm: [0, 3, 1, 2] }],
        ['Relu', ['b'], ['y']],
      ],
    ],
    [
      'two reshapes',
      [
        ['Flatten', ['x'], ['a']],
        ['Reshape', ['a', 'shape'], ['b']],
        ['Relu', ['b'], ['y']],
      ],
    ],
  ])('%s', async (_, nodes) => {
    expect(await passes({ nodes, integers: { shape: [2, 4, 5, 6] } })).toBe('relu');
  });

  test('a transposition of images that are reshaped and joined', async () => {
    const nodes: NodeSketch[] = [
      ['Relu', ['x'], ['a']],
      ['Sigmoid', ['x'], ['b']],
      ['Reshape', ['a', 'lines'], ['c']],
      ['Reshape', ['b', 'lines'], ['d']],
      ['Concat', ['c', 'constant', 'd'], ['e'], { axis: -1 }],
      ['Transpose', ['e'], ['y'], { perm: [0, 2, 1] }],
    ];
    const sketch = { nodes, integers: { lines: [2, 4, 30] }, tensors: tensors({ constant: [2, 4, 3] }) };
    expect(await passes(sketch)).toBe('relu, sigmoid, transposeAs, transposeAs, concat');
  });

  test('a transposed factor of a product', async () => {
    const nodes: NodeSketch[] = [
      ['Relu', ['x'], ['a']],
      ['Transpose', ['a'], ['b'], { perm: [0, 1, 3, 2] }],
      ['MatMul', ['a', 'b'], ['c']],
      ['Relu', ['c'], ['y']],
    ];
    expect(await passes({ nodes })).toBe('relu, matMulTransposed relu');
  });

  test('a factor of a product whose stacks are permuted, too, stays', async () => {
    const nodes: NodeSketch[] = [
      ['Relu', ['x'], ['a']],
      ['Transpose', ['a'], ['b'], { perm: [0, 2, 3, 1] }],
      ['Transpose', ['a'], ['c'], { perm: [0, 2, 1, 3] }],
      ['MatMul', ['c', 'b'], ['y']],
    ];
    expect(await passes({ nodes })).toBe('relu, transpose, transpose, matMul');
  });

  test('a transposition of values that are no images stays', async () => {
    const nodes: NodeSketch[] = [
      ['ReduceMax', ['x', 'axes'], ['a'], { keepdims: 0 }],
      ['Concat', ['a', 'a'], ['b'], { axis: 1 }],
      ['Transpose', ['b'], ['y'], { perm: [0, 2, 1] }],
    ];
    expect(await passes({ nodes, integers: { axes: [3] } })).toBe('reduceMax, concat, transpose');
  });

  test('between an input and an output one stays', async () => {
    expect(await passes({ nodes: [['Identity', ['x'], ['y']]] })).toBe('identity');
  });

  test('an output that is read as well keeps its name', async () => {
    const nodes: NodeSketch[] = [
      ['Relu', ['x'], ['a']],
      ['Identity', ['a'], ['y']],
      ['Neg', ['a'], ['z']],
    ];
    expect(await passes({ nodes, outputs: ['y', 'z'] })).toBe('relu, neg');
  });
});
