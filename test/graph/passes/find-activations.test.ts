import type { NodeSketch } from '../../support/onnx-files';
import { conv, passes, tensors } from '../../support/passes';

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
