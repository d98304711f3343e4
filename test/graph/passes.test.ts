import { within } from '../../lib/errors';
import type { Graph } from '../../lib/graph/graph';
import { optimize } from '../../lib/graph/passes';
import { atOnce } from '../../lib/slices';
import { evaluate } from '../support/evaluate';
import { graphOf, type NodeSketch } from '../support/onnx-files';
import { numbers, opsOf, passes, type Shapes, tensors } from '../support/passes';

const batchNorm = (from: string, to: string, key = 'n'): NodeSketch => [
  'BatchNormalization',
  [from, `g${key}`, `b${key}`, `m${key}`, `v${key}`],
  [to],
];
const normTensors = (channels: number, key = 'n'): Shapes => ({
  [`g${key}`]: [channels],
  [`b${key}`]: [channels],
  [`m${key}`]: [channels],
  [`v${key}`]: [channels],
});
const conv = (from: string, weight: string, to: string, attributes = {}): NodeSketch => [
  'Conv',
  [from, weight],
  [to],
  attributes,
];
const pads1 = { pads: [1, 1, 1, 1] };

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

test('zeros around an image become padding of the convolution', async () => {
  const nodes = [['Pad', ['x', 'p'], ['a']], conv('a', 'w', 'y', { pads: [0, 1, 0, 0] })] as NodeSketch[];
  const sketch = { nodes, tensors: tensors({ w: [3, 4, 3, 3] }), integers: { p: [0, 0, 1, 0, 0, 0, 2, 1] } };
  expect(await passes(sketch)).toBe('conv');
});

describe('batch norms and constants for each channel', () => {
  test('behind a convolution', async () => {
    const nodes = [
      conv('x', 'w', 'a', { group: 2 }),
      batchNorm('a', 'b'),
      ['Mul', ['b', 'k'], ['c']],
      ['Add', ['s', 'c'], ['y']],
    ] as NodeSketch[];
    expect(
      await passes({ nodes, tensors: tensors({ w: [6, 2, 3, 3], k: [6, 1, 1], s: [1], ...normTensors(6) }) }),
    ).toBe('conv');
  });

  test('behind a transposed convolution', async () => {
    const given = { group: 2, strides: [2, 2] };
    const nodes = [['ConvTranspose', ['x', 'w'], ['a'], given], batchNorm('a', 'y')] as NodeSketch[];
    const graph = await graphOf({
      inputs: { x: [2, 4, 5, 6] },
      outputs: ['y'],
      nodes,
      tensors: tensors({ w: [4, 3, 2, 2], ...normTensors(6) }),
    });
    const optimized = within('test', () => atOnce(optimize(graph, new Map([['x', [2, 4, 5, 6]]]))));
    expect(opsOf(optimized)).toBe('convTranspose');
    const [before, after] = [graph.tensors.get('w'), optimized.tensors.get(optimized.nodes[0]?.inputs[1] as string)];
    const [g, v] = [graph.tensors.get('gn'), graph.tensors.get('vn')];
    // [4, 3, 2, 2]: rows 0 and 1 are of group 0, whose outputs are 0 to 2.
    const channel = 3 + 1;
    const at = (2 * 3 + 1) * 4;
    const scale = Number(g?.data[channel]) / Math.sqrt(Number(v?.data[channel]) + 1e-5);
    expect(after?.data[at]).toBeCloseTo(Number(before?.data[at]) * scale, 5);
  });

  test('alone they become a product and a sum', async () => {
    const nodes = [batchNorm('x', 'a'), ['Relu', ['a'], ['y']]] as NodeSketch[];
    expect(await passes({ nodes, tensors: tensors(normTensors(4)) })).toBe('mul, add relu');
  });

  test('a value that is read twice stays', async () => {
    const nodes = [conv('x', 'w', 'a'), batchNorm('a', 'y'), ['Neg', ['a'], ['z']]] as NodeSketch[];
    const sketch = { nodes, outputs: ['y', 'z'], tensors: tensors({ w: [4, 4, 1, 1], ...normTensors(4) }) };
    expect(await passes(sketch)).toBe('conv, mul, add, neg');
  });
});

describe('branches', () => {
  test('of RepVGG in training form', async () => {
    const nodes = [
      ...[conv('x', 'w3', 'a', pads1), batchNorm('a', 'b', '3'), conv('x', 'w1', 'c'), batchNorm('c', 'd', '1')],
      ...[batchNorm('x', 'e', '0'), ['Add', ['b', 'd'], ['f']], ['Add', ['f', 'e'], ['g']], ['Relu', ['g'], ['y']]],
    ] as NodeSketch[];
    const shapes = {
      w3: [4, 2, 3, 3],
      w1: [4, 2, 1, 1],
      ...normTensors(4, '3'),
      ...normTensors(4, '1'),
      ...normTensors(4, '0'),
    };
    const grouped = nodes.map(([op, inputs, outputs, given]) => [
      op,
      inputs,
      outputs,
      op === 'Conv' ? { ...given, group: 2 } : {},
    ]);
    expect(await passes({ nodes: grouped as unknown as NodeSketch[], tensors: tensors(shapes) })).toBe('conv relu');
  });

  test('of QARepVGG: 3x3, a scaled 1x1, an average, the identity, and a batch norm behind', async () => {
    const nodes = [
      ...[conv('x', 'w3', 'a', pads1), batchNorm('a', 'b', '3'), conv('x', 'w1', 'c'), ['Mul', ['c', 'alpha'], ['d']]],
      ['AveragePool', ['x'], ['p'], { kernel_shape: [3, 3], ...pads1, count_include_pad: 1 }],
      ...[
        ['Add', ['d', 'p'], ['e']],
        ['Add', ['b', 'e'], ['f']],
        ['Add', ['x', 'f'], ['g']],
        batchNorm('g', 'h', '0'),
        ['Relu', ['h'], ['y']],
      ],
    ] as NodeSketch[];
    const shapes = { w3: [4, 4, 3, 3], w1: [4, 4, 1, 1], alpha: [], ...normTensors(4, '3'), ...normTensors(4, '0') };
    expect(await passes({ nodes, tensors: tensors(shapes) })).toBe('conv relu');
  });

  test('of MobileOne, depthwise', async () => {
    const depthwise = { group: 4 };
    const nodes = [
      ...[conv('x', 'w3', 'a', { ...depthwise, ...pads1 }), conv('x', 'w1', 'b', depthwise), batchNorm('x', 'c')],
      ...[
        ['Add', ['a', 'b'], ['d']],
        ['Add', ['d', 'c'], ['y']],
      ],
    ] as NodeSketch[];
    expect(await passes({ nodes, tensors: tensors({ w3: [4, 1, 3, 3], w1: [4, 1, 1, 1], ...normTensors(4) }) })).toBe(
      'conv',
    );
  });

  test('with strides and uneven kernels', async () => {
    const nodes = [
      conv('x', 'w', 'a', { pads: [2, 1, 2, 1], strides: [2, 2] }),
      conv('x', 'u', 'b', { pads: [1, 0, 1, 0], strides: [2, 2] }),
      ['Add', ['a', 'b'], ['y']],
    ] as NodeSketch[];
    expect(await passes({ nodes, tensors: tensors({ w: [3, 4, 5, 3], u: [3, 4, 3, 1] }) })).toBe('conv');
  });

  test('of different groups or inputs stay', async () => {
    const nodes = [conv('x', 'w', 'a', { group: 2 }), conv('x', 'u', 'b'), ['Add', ['a', 'b'], ['y']]] as NodeSketch[];
    expect(await passes({ nodes, tensors: tensors({ w: [4, 2, 1, 1], u: [4, 4, 1, 1] }) })).toBe('conv, conv+');
  });
});

describe('activations', () => {
  const three = { three: [[], [3]], zero: [[], [0]], six: [[], [6]] } as const;
  const halves = {
    one: [[], [1]],
    half: [[], [0.5]],
    root: [[], [Math.SQRT2]],
    inverse: [[], [Math.SQRT1_2]],
  } as const;
  const constants = { ...three, ...halves };
  const clip: NodeSketch[] = [
    ['Add', ['x', 'three'], ['a']],
    ['Clip', ['a', 'zero', 'six'], ['b']],
  ];
  test.each<[string, string, NodeSketch[]]>([
    [
      'silu',
      'silu',
      [
        ['Sigmoid', ['x'], ['a']],
        ['Mul', ['x', 'a'], ['y']],
      ],
    ],
    ['hard sigmoid', 'hardSigmoid', [...clip, ['Div', ['b', 'six'], ['y']]]],
    ['hard swish, divided first', 'hardSwish', [...clip, ['Div', ['b', 'six'], ['c']], ['Mul', ['x', 'c'], ['y']]]],
    ['hard swish, divided last', 'hardSwish', [...clip, ['Mul', ['x', 'b'], ['c']], ['Div', ['c', 'six'], ['y']]]],
    [
      'GELU, halved last',
      'gelu',
      [
        ['Div', ['x', 'root'], ['a']],
        ['Erf', ['a'], ['b']],
        ['Add', ['b', 'one'], ['c']],
        ['Mul', ['x', 'c'], ['d']],
        ['Mul', ['d', 'half'], ['y']],
      ],
    ],
    [
      'GELU, halved first',
      'gelu',
      [
        ['Mul', ['x', 'half'], ['h']],
        ['Mul', ['inverse', 'x'], ['a']],
        ['Erf', ['a'], ['b']],
        ['Add', ['one', 'b'], ['c']],
        ['Mul', ['c', 'h'], ['y']],
      ],
    ],
    [
      'GELU, the share halved',
      'gelu',
      [
        ['Div', ['x', 'root'], ['a']],
        ['Erf', ['a'], ['b']],
        ['Add', ['b', 'one'], ['c']],
        ['Mul', ['c', 'half'], ['d']],
        ['Mul', ['d', 'x'], ['y']],
      ],
    ],
    ['ReLU as a clip', 'relu', [['Clip', ['x', 'zero'], ['y']]]],
    [
      'a leaky ReLU',
      'leakyRelu',
      [
        ['Div', ['x', 'six'], ['a']],
        ['Max', ['x', 'a'], ['y']],
      ],
    ],
    ['a clip', 'clip', [['Clip', ['x', 'zero', 'six'], ['y']]]],
    ['any other function of one number', 'elu', [['Elu', ['x'], ['y']]]],
  ])('%s', async (_, kind, nodes) => {
    expect(await passes({ nodes, tensors: constants })).toBe(kind);
    const behind = nodes.map(([op, inputs, outputs]) => [
      op,
      inputs.map((name) => (name === 'x' ? 'conv' : name)),
      outputs,
    ]) as unknown as NodeSketch[];
    const sketch = {
      nodes: [conv('x', 'w', 'conv'), ...behind],
      tensors: { ...constants, ...tensors({ w: [3, 4, 1, 1] }) },
    };
    expect(await passes(sketch)).toBe(`conv ${kind}`);
  });

  test('what only looks like GELU stays', async () => {
    const nodes = (factor: string, other: string): NodeSketch[] => [
      ['Div', ['x', 'root'], ['a']],
      ['Erf', ['a'], ['b']],
      ['Add', ['b', 'one'], ['c']],
      ['Relu', ['x'], ['r']],
      ['Mul', [other, 'c'], ['d']],
      ['Mul', ['d', factor], ['y']],
    ];
    for (const [factor, other] of [
      ['six', 'x'],
      ['half', 'r'],
    ] as const)
      expect(await passes({ nodes: nodes(factor, other), tensors: constants })).not.toContain('gelu');
  });
});

describe('norms', () => {
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

describe('sums with convolutions', () => {
  test('a residual is added before the activation', async () => {
    const nodes = [
      conv('x', 'w', 'a', pads1),
      ['Relu', ['a'], ['b']],
      conv('b', 'u', 'c'),
      ['Add', ['c', 'x'], ['d']],
      ['Relu', ['d'], ['y']],
    ] as NodeSketch[];
    expect(await passes({ nodes, tensors: tensors({ w: [6, 4, 3, 3], u: [4, 6, 1, 1] }) })).toBe(
      'conv relu, conv+ relu',
    );
  });

  test('of one spatial axis', async () => {
    const shapes = { w3: [4, 4, 3], w1: [4, 4, 1], g: [4], b: [4], m: [4], v: [4] };
    const given = tensors(shapes);
    const x = { x: numbers(2 * 4 * 9) };
    const optimized = async (image: readonly number[], axis: number[]): Promise<Graph> => {
      const none = axis.map(() => 0);
      const window = { kernel_shape: [...axis, 3], pads: [...none, 1, ...none, 1] };
      const nodes: NodeSketch[] = [
        ['Conv', ['x', 'w3'], ['a'], window],
        ['BatchNormalization', ['a', 'g', 'b', 'm', 'v'], ['c']],
        ['Conv', ['x', 'w1'], ['d']],
        ['Add', ['c', 'd'], ['e']],
        ['Add', ['e', 'x'], ['f']],
        ['Relu', ['f'], ['y']],
      ];
      const own = Object.entries(given).map(([name, [dims, data]]) => [
        name,
        [dims.length === 3 ? [4, 4, ...axis, dims[2] as number] : dims, data],
      ]);
      const sketch = {
        inputs: { x: image.map((_, i) => `d${i}`) },
        outputs: ['y'],
        nodes,
        tensors: Object.fromEntries(own),
      };
      return within('test', async () => atOnce(optimize(await graphOf(sketch), new Map([['x', image]]))));
    };
    const [line, plane] = [await optimized([2, 4, 9], []), await optimized([2, 4, 1, 9], [1])];
    expect(opsOf(line)).toBe('reshape, conv relu, reshape');
    expect(evaluate(line, x)).toEqual(evaluate(plane, x));
  });

  test('broadcast operands stay', async () => {
    const nodes = [
      conv('x', 'w', 'a'),
      ['GlobalAveragePool', ['x'], ['b']],
      ['Add', ['a', 'b'], ['y']],
    ] as NodeSketch[];
    expect(await passes({ nodes, tensors: tensors({ w: [4, 4, 1, 1] }) })).toBe('conv, globalAveragePool, add');
  });
});

test('a product with a large constant is a convolution of rows', async () => {
  const nodes: NodeSketch[] = [
    ['MatMul', ['x', 'w'], ['a']],
    ['Add', ['b', 'a'], ['c']],
    ['Relu', ['c'], ['y']],
  ];
  expect(await passes({ nodes, tensors: tensors({ w: [40, 50], b: [50] }) }, [6, 40])).toBe(
    'reshape, transpose, conv relu, transpose, reshape',
  );
});

describe('Gemm', () => {
  const head = (attributes: Record<string, number>): NodeSketch[] => [
    ['GlobalAveragePool', ['x'], ['a']],
    ['Flatten', ['a'], ['b']],
    ['Gemm', ['b', 'w', 'c'], ['y'], attributes],
  ];

  test('of a map of one pixel is a convolution', async () => {
    const expected = 'globalAveragePool, conv, reshape';
    expect(
      await passes({ nodes: head({ transB: 1, alpha: 0.5, beta: 2 }), tensors: tensors({ w: [3, 4], c: [3] }) }),
    ).toBe(expected);
    expect(await passes({ nodes: head({}), tensors: tensors({ w: [4, 3], c: [3] }) })).toBe(expected);
  });

  test('of anything else a product and a sum', async () => {
    const gemm = (attributes: Record<string, number>): NodeSketch[] => [['Gemm', ['x', 'w', 'c'], ['y'], attributes]];
    expect(
      await passes(
        { nodes: gemm({ transB: 1, alpha: 0.5, beta: 2 }), tensors: tensors({ w: [3, 4], c: [3] }) },
        [5, 4],
      ),
    ).toBe('matMul, add');
    expect(await passes({ nodes: gemm({ transA: 1 }), tensors: tensors({ w: [5, 3], c: [5 - 1, 3] }) }, [5, 4])).toBe(
      'transpose, matMul, add',
    );
  });
});

test('what slides along one axis gets a second one', async () => {
  const nodes = [
    ['Conv', ['x', 'w'], ['a'], { pads: [1, 0], strides: [2] }],
    ['AveragePool', ['a'], ['y'], { kernel_shape: [2] }],
  ] as NodeSketch[];
  const graph = await graphOf({ inputs: { x: [1, 4, 9] }, outputs: ['y'], nodes, tensors: tensors({ w: [3, 4, 3] }) });
  const optimized = within('test', () => atOnce(optimize(graph, new Map([['x', [1, 4, 9]]]))));
  expect(opsOf(optimized)).toBe('reshape, conv, averagePool, reshape');
  expect(optimized.values.get('y')?.dims).toEqual([1, 3, 3]);
  expect(optimized.nodes[1]?.attributes).toMatchObject({ pads: [0, 1, 0, 0], strides: [1, 2] });
});

test('nodes that no output depends on are gone', async () => {
  const nodes: NodeSketch[] = [
    ['Relu', ['x'], ['y']],
    ['Neg', ['x'], ['z']],
  ];
  expect(await passes({ nodes })).toBe('relu');
});
