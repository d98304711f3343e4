import type { ModelSketch, NodeSketch } from '../../support/onnx-files';
import { passes, tensors } from '../../support/passes';

/** What exporters write: "m" is the mean, "c" the centred value, "v" the variance, "d" the deviation and "n" the result. */
function norm(axes: string, square: NodeSketch[] = [['Pow', ['c', 'two'], ['s']]]): NodeSketch[] {
  return [
    ['ReduceMean', ['x', axes], ['m']],
    ['Sub', ['x', 'm'], ['c']],
    ...square,
    ['ReduceMean', ['s', axes], ['v']],
    ['Add', ['v', 'epsilon'], ['e']],
    ['Sqrt', ['e'], ['d']],
    ['Div', ['c', 'd'], ['n']],
  ];
}

const integers = { last: [-1], channels: [1], plane: [2, 3], image: [1, 2, 3], rows: [2] };
const constants: NonNullable<ModelSketch['tensors']> = {
  two: [[], [2]],
  epsilon: [[], [0.001]],
  ...tensors({ ofRow: [6], ofChannel: [4, 1, 1], ofColumn: [5, 1], ofImage: [4, 5, 6], ofAll: [2, 4, 5, 6] }),
};
const found = (nodes: readonly NodeSketch[], outputs = ['y']) =>
  passes({ nodes, outputs, integers, tensors: constants }, [2, 4, 5, 6]);

const affine = (scale: string, shift: string): NodeSketch[] => [
  ['Mul', [scale, 'n'], ['p']],
  ['Add', ['p', shift], ['y']],
];

test('a normalization of several nodes becomes one, with product, sum and activation', async () => {
  expect(await found([...norm('last'), ...affine('ofRow', 'ofRow')])).toBe('normalize');
  expect(await found([...norm('image'), ...affine('ofImage', 'ofImage')])).toBe('normalize');
  const nodes: NodeSketch[] = [...norm('last'), ['Mul', ['n', 'ofRow'], ['p']], ['Relu', ['p'], ['y']]];
  expect(await found(nodes)).toBe('normalize relu');
  expect(await found([...norm('last'), ['Add', ['ofRow', 'n'], ['y']]])).toBe('normalize');
  expect(await found([...norm('last'), ['Identity', ['n'], ['y']]])).toBe('normalize');
});

test('numbers for channels are part of it where each channel is normalized', async () => {
  expect(await found([...norm('plane'), ...affine('ofChannel', 'ofChannel')])).toBe('normalize');
});

test('along channels, images are transposed before and after', async () => {
  const expected = 'transpose, normalize, transpose';
  expect(await found([...norm('channels'), ...affine('ofChannel', 'ofChannel')])).toBe(expected);
  expect(await found([...norm('rows'), ...affine('ofColumn', 'ofColumn')])).toBe(expected);
});

test.each<[string, NodeSketch[]]>([
  ['a product', [['Mul', ['c', 'c'], ['s']]]],
  [
    'the square of another difference',
    [
      ['Sub', ['x', 'm'], ['again']],
      ['Mul', ['again', 'again'], ['s']],
    ],
  ],
])('the square may be %s', async (_, square) => {
  expect(await found([...norm('last', square), ...affine('ofRow', 'ofRow')])).toBe('normalize');
});

test('the quotient may be a product with a reciprocal', async () => {
  const nodes: NodeSketch[] = [...norm('last').slice(0, -1), ['Reciprocal', ['d'], ['r']], ['Mul', ['r', 'c'], ['y']]];
  expect(await found(nodes)).toBe('normalize');
});

test('the centred value may be transposed in between', async () => {
  const nodes: NodeSketch[] = [
    ...norm('channels').slice(0, 2),
    ['Transpose', ['c'], ['t'], { perm: [0, 2, 3, 1] }],
    ['Mul', ['t', 't'], ['s']],
    ['ReduceMean', ['s', 'last'], ['v']],
    ['Add', ['v', 'epsilon'], ['e']],
    ['Sqrt', ['e'], ['d']],
    ['Div', ['t', 'd'], ['y']],
  ];
  expect(await found(nodes)).toBe('transpose, normalize');
});

describe('what is not one stays', () => {
  const several = 'reduceMean, sub, pow, reduceMean, add sqrt, div';

  test('constants that vary along other axes', async () => {
    expect(await found([...norm('last'), ['Mul', ['n', 'ofAll'], ['y']]])).toBe('normalize, mul');
    expect(await found([...norm('last'), ...affine('ofRow', 'ofColumn')])).toBe('normalize, add');
    expect(await found([...norm('channels'), ['Mul', ['n', 'ofRow'], ['y']]])).toBe(
      'transpose, normalize, transpose, mul',
    );
  });

  test('a product with a value', async () => {
    const nodes: NodeSketch[] = [...norm('last'), ['Mul', ['n', 'x'], ['y']]];
    expect(await found(nodes)).toBe('normalize, mul');
  });

  test('other results that something reads', async () => {
    const outputs = ['n', 'y'];
    expect(await found([...norm('last'), ['Mul', ['n', 'ofRow'], ['y']]], outputs)).toBe('normalize, mul');
    const deviation: NodeSketch[] = [...norm('last'), ['Mul', ['n', 'd'], ['y']]];
    expect(await found(deviation)).toBe('reduceMean, sub, pow, reduceMean, add sqrt, normalize, mul');
  });

  test('mean and variance along other axes', async () => {
    const nodes = [...norm('last')];
    nodes[0] = ['ReduceMean', ['x', 'image'], ['m']];
    expect(await found([...nodes, ['Identity', ['n'], ['y']]])).toBe(several);
  });

  test('a mean that is not of squares, and a value that is not centred', async () => {
    expect(await found(norm('last', [['Abs', ['c'], ['s']]]), ['n'])).toContain('div');
    const plain = norm('last').slice(0, -1);
    expect(await found([...plain, ['Div', ['x', 'd'], ['y']]])).toBe(several);
  });
});

describe('norms that are one node in the file', () => {
  const given = tensors({ s: [6], b: [6], few: [4] });

  test('are one node, with scale, bias and the activation behind it', async () => {
    const layer: NodeSketch[] = [
      ['LayerNormalization', ['x', 's', 'b'], ['a']],
      ['Relu', ['a'], ['y']],
    ];
    expect(await passes({ nodes: layer, tensors: given })).toBe('normalize relu');
    const instance: NodeSketch[] = [['InstanceNormalization', ['x', 'few', 'few'], ['y']]];
    expect(await passes({ nodes: instance, tensors: given })).toBe('normalize');
  });

  test('with a scale of other dims are multiplied after', async () => {
    const nodes: NodeSketch[] = [['LayerNormalization', ['x', 's', 'b'], ['y'], { axis: 2 }]];
    expect(await passes({ nodes, tensors: given })).toBe('normalize, mul, add');
  });
});
