import type { NodeSketch } from '../../support/onnx-files';
import { batchNorm, conv, normTensors, pads1, passes, tensors } from '../../support/passes';

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
