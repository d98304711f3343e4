import { within } from '../../../lib/errors';
import type { Graph } from '../../../lib/graph/graph';
import { optimize } from '../../../lib/graph/passes';
import { atOnce } from '../../../lib/slices';
import { evaluate } from '../../support/evaluate';
import { graphOf, type NodeSketch } from '../../support/onnx-files';
import { conv, numbers, opsOf, pads1, passes, tensors } from '../../support/passes';

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
